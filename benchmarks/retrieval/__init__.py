"""Recall, rank and speed of search and ingestion, and what the offline answerer makes of what is found.

All of it goes through the code that a workspace uses, in workspaces of its own.
"""
