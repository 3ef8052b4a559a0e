"""Find this person: a gallery of embedded images, a service and a page that search it."""
