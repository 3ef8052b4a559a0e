"""A synthetic day-and-night set: people of analytic 3D primitives before visible and near-infrared cameras.

``identity`` says who someone is, ``view`` how a camera meets them, ``figure`` dresses them in primitives,
``raster`` finds what each ray hits, ``shade`` lights it, ``renderer`` makes pictures of it and ``tree`` makes
data sets.
"""

from vireid.data.synthetic.difficulty import Difficulty
from vireid.data.synthetic.identity import Identity, sample_identity
from vireid.data.synthetic.materials import Spectrum
from vireid.data.synthetic.renderer import render, render_with_masks
from vireid.data.synthetic.tree import write_tree
from vireid.data.synthetic.view import Camera, Passer, View, sample_camera, sample_view

__all__ = [
    "Camera",
    "Difficulty",
    "Identity",
    "Passer",
    "Spectrum",
    "View",
    "render",
    "render_with_masks",
    "sample_camera",
    "sample_identity",
    "sample_view",
    "write_tree",
]
