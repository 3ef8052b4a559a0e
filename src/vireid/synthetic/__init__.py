"""A synthetic day-and-night set: people built from 3D primitives, seen by visible, near-infrared and thermal cameras.

``identity`` decides who a person is, ``view`` how a camera sees them, ``figure`` dresses them in primitives,
``raster`` finds what each ray hits, ``shade`` lights it and ``renderer`` turns it into pictures. ``settings`` describes
a data set, ``plans`` its images and lists, ``attributes`` what they show; ``tree`` writes it to disk and ``standards``
names the sets that are the same for everybody.
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
