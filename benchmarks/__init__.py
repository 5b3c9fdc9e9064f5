"""Measurements on data that is not in the repository. Each prints its figures and says what it skipped."""
