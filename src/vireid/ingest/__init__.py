"""Images from files, folders, manifests and videos into a gallery."""
