"""A synthetic day-and-night set: people of analytic 3D primitives before visible, near-infrared and thermal cameras.

``identity`` says who someone is, ``view`` how a camera meets them, ``figure`` dresses them in primitives,
``raster`` finds what each ray hits, ``shade`` lights it and ``renderer`` makes pictures of it. ``settings`` says what a
data set is to be, ``plans`` which images and lists it has, ``attributes`` what they show, ``tree`` makes it and
``standards`` names the sets that are the same for everybody.
"""

from vireid.data.synthetic.difficulty import Difficulty
from vireid.data.synthetic.identity import Identity, sample_identity
from vireid.data.synthetic.materials import Spectrum
from vireid.data.synthetic.renderer import render, render_with_masks
from vireid.data.synthetic.settings import SyntheticSet, synthetic_set
from vireid.data.synthetic.tree import write_tree
from vireid.data.synthetic.view import Camera, Passer, View, sample_camera, sample_view

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
