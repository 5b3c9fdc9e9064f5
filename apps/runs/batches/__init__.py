"""A file's rows, each sent through the same steps: read, planned, worked off, controlled, watched and taken out again.

read      an uploaded file to rows                 control    start, pause, resume, cancel, retry
create    rows and steps to a draft, its cost      progress   how far it is, what it has cost, when it is done
work      a worker's slice of a batch              export     results as CSV or JSON Lines

half_price    rows into files that a provider answers within a day      files    what becomes of each
due           which of them want something done                          lines    what becomes of a line
"""
