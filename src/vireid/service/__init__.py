"""The search service: a REST interface and a page over a gallery and a model."""
