"""Visible-infrared person re-identification: find the same person across day and night cameras."""

from vireid.models.weakening import DynamicFeatureWeakening
from vireid.types import Dataset, Features, Modality, Sample, VireidError

__version__ = "0.1.0"
__all__ = ["Dataset", "DynamicFeatureWeakening", "Features", "Modality", "Sample", "VireidError"]
