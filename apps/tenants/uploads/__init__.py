"""Files that strangers upload: read by processes that know no secret and can be killed.

sandbox    starts such a process, and takes what it wrote
bounds     what that process binds itself to first
encoding   the encoding of text
"""
