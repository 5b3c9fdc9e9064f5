"""What was asked and answered, what people thought of it, and what became of that."""

from .conversation import Citation, Conversation, Message
from .feedback import Feedback
from .quality import EvalCase, EvalReport

__all__ = ["Citation", "Conversation", "EvalCase", "EvalReport", "Feedback", "Message"]
