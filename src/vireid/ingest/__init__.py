"""Adding images from files, folders, manifests and videos to a gallery."""
