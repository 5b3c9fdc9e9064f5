"""What becomes of rated answers, in the settings of a workspace.

feedback_views    thumbs and comments, for owners and admins to read
redact, cases     an answer becomes a case: a copy without personal data, reviewed by an admin
case_form, case_views, suite_file
metrics, trend, chart, trend_views     what the answers of each day were worth; `evals.nightly` measures it
drift_mail        tells owners and admins when that fell
"""
