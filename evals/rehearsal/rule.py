"""What a prompt can ask the rehearsal model for."""

from enum import Enum, auto


class Rule(Enum):
    """One thing that a prompt can ask for. Without it, the model does what the comment says."""

    ONLY_PASSAGES = auto()  # adds something that it knows by itself
    CITE = auto()  # says no numbers
    ADMIT = auto()  # answers with what comes nearest
    NAME_MISSING = auto()  # doesn't say what the passages lack
    DATA = auto()  # obeys what a passage, a request or an answer tells it
    BRIEF = auto()  # goes on
    LANGUAGE = auto()  # speaks English
    FEW_LISTS = auto()  # makes a list of everything
    CONFIDENTIAL = auto()  # tells its instructions to who asks for them
    CHEAPER = auto()  # takes the dearer of two tiers
    JSON = auto()  # answers in prose
    ALONE = auto()  # explains itself around the JSON
    FENCED = auto()  # (with it: puts the JSON in a code fence)
    WHOLE = auto()  # answers with the mended fields only
    ERRORS_LISTED = auto()  # doesn't know what the list of errors is
    SUPPORT = auto()  # rates without looking into the passages
    COMPLETE = auto()  # rates without looking whether all was answered
    REFUSAL_IS_RIGHT = auto()  # rates every refusal as a bad answer
    CHOOSE = auto()  # (the task: say which tier answers)
    RATE = auto()  # (the task: rate the answer above)
    MEND = auto()  # (the task: give the answer above in its right form)
