"""Data sets that RecLens obtains by itself: where they are and how they are downloaded."""
