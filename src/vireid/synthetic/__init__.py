"""A synthetic day-and-night set: people of analytic 3D primitives before visible, near-infrared and thermal cameras.

``identity`` says who someone is, ``view`` how a camera meets them, ``figure`` dresses them in primitives,
``raster`` finds what each ray hits, ``shade`` lights it and ``renderer`` makes pictures of it. ``settings`` says what a
data set is to be, ``plans`` which images and lists it has, ``attributes`` what they show, ``tree`` makes it and
``standards`` names the sets that are the same for everybody.
"""

from vireid.difficulty import Difficulty
from vireid.synthetic.identity import Identity, sample_identity
from vireid.synthetic.materials import Spectrum
from vireid.synthetic.renderer import render, render_with_masks
from vireid.synthetic.settings import SyntheticSet, synthetic_set
from vireid.synthetic.tree import write_tree
from vireid.synthetic.view import Camera, Passer, View, sample_camera, sample_view

__all__ = [
    "Camera",
    "Difficulty",
    "Identity",
    "Passer",
    "Spectrum",
    "SyntheticSet",
    "View",
    "render",
    "render_with_masks",
    "sample_camera",
    "sample_identity",
    "sample_view",
    "synthetic_set",
    "write_tree",
]
