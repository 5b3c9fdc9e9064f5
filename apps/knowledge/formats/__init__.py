"""Readers of the file formats a workspace may upload. Plain Python, no Django: they run in a process of their own.

Each reader turns bytes into light Markdown: `#` headings, paragraphs of one line, `- ` lists, `|` tables, fenced code.

    errors.py     what can be wrong with a file, and what to do about it
    plain.py      txt and md
    html.py       html
    pdf.py        pdf, with the offset of each page
    layout.py     the lines of PDF pages to paragraphs and headings
    docx.py       docx
    __main__.py   the process that apps.knowledge.parse starts
"""
