"""The sweep: no data crosses tenants, over any route, socket, task, table, key or file.

What is tried is found by walking the product: a new route, table or task is tried without a line here, or fails with
the line that it needs. docs/isolation.md, "The sweep", says what each module does.
"""
