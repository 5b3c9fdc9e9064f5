"""What answers are worth: suites of tests through the pipeline that a workspace uses, and the gate that they make.

    suite, corpus      what a suite's files say, read strictly        Bad: the file, the line, the fault and the mend
    drivers            make what a test asks for: an answer, a search, any other prompt's text
    asserts, scoring   what that is worth, from 0 to 1, by metric
    run, results       a suite's tests, several at a time, and what came out
    gate, baseline     floors, and a paired bootstrap against what was measured before
    report, trend      what people and machines read of it

    live, cases        a workspace's approved cases, asked in the database that is in use
    nightly            what workspaces that consented really answered: production measures it, drift compares

Metrics of an answer: `context` scores the search (the passages hold what the answer needs), the others score what was
made of it: `correct`, `cited`, `refused`, `grounded`, `citation_precision`, `valid`. A retrieval suite has `recall@5`,
`recall@10`, `mrr@10` and `context`.
"""
