"""A package of the app's own, called as one of this project's is."""
