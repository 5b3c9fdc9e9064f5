"""What answers are worth: questions with what an answer must hold, through the pipeline that a workspace uses."""
