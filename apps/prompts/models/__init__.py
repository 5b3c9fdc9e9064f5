"""What we say to models: named prompts, their immutable versions, and the trials of one version against another."""

from .experiment import Experiment, ExperimentArm
from .prompt import Prompt, PromptVersion, Publication

__all__ = ["Experiment", "ExperimentArm", "Prompt", "PromptVersion", "Publication"]
