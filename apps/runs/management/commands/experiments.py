from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.prompts import defaults
from apps.prompts.models import Experiment
from apps.prompts.publish import Refused
from apps.runs.models import Run
from apps.runs.outcomes import outcomes
from apps.tenants.platform import require_platform


def share(text: str) -> tuple[int, int]:
    number, _, weight = text.partition("=")
    if not (number.isdigit() and weight.isdigit()):
        raise ArgumentTypeError(f"{text} is no version with its weight. Write them as 3=50.")
    return int(number), int(weight)


class Command(BaseCommand):
    help = "Default versions of a prompt, tried against each other in every workspace that uses the default."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        start = actions.add_parser("start", help="give people different versions, the same one to the same person")
        start.add_argument("name")
        start.add_argument("shares", nargs="+", type=share, metavar="NUMBER=WEIGHT", help="such as 3=50 4=50")
        start.add_argument("--question", default="", help="what it is to show")
        show = actions.add_parser("show", help="what came of the newest one so far, over all workspaces")
        show.add_argument("name")
        stop = actions.add_parser("stop", help="end the one that is running")
        stop.add_argument("name")
        stop.add_argument("--promote", type=int, metavar="NUMBER", help="and put this version of it in force")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            if options["action"] == "start":
                defaults.start(name, dict(options["shares"]), question=options["question"])
                self.stdout.write(f"An experiment on {name} is running")
            elif options["action"] == "stop":
                defaults.stop(name, promote=options["promote"])
                self.stdout.write(f"The experiment on {name} is over")
            else:
                self.show(name)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal

    def show(self, name: str) -> None:
        platform = require_platform()
        everybodys = Experiment.unscoped.using(platform).filter(prompt__name=name, tenant=None)
        if (experiment := everybodys.order_by("-started_at").first()) is None:
            raise Refused(f"There has been no experiment on the default of {name}.")
        found = outcomes(experiment, runs=Run.unscoped.using(platform).all())
        for arm, people, calls in zip(found.arms, found.people, found.calls, strict=True):
            self.stdout.write(f"{arm.letter}  {arm.version}, weight {arm.weight}: {people:,} people, {calls:,} calls")
        for metric in found.metrics:
            self.stdout.write(f"{metric.label} ({metric.note})")
            for row in metric.rows:
                self.stdout.write(f"  {row.arm.letter}  {row.said:>10}  {row.interval or 'nothing yet'}")
            if metric.verdict:
                self.stdout.write(f"  {metric.verdict}")
