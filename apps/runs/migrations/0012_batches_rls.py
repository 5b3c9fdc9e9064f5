"""The rows of batches are their tenant's alone, and a person's limit of requests in a minute isn't used up by the rows of
a batch of theirs: those pace themselves, and budgets and the tokens of a day bound them."""

from django.db import migrations

from apps.tenants.rls import Isolate, OwnOrDefault, SameTenant

COUNTED = "AND before.purpose = 'answer'"
REFUSED = "AND run.parent_id IS NULL"

# A text in the function's source, what stands in its place, and how often it is there.
CHANGES = [
    (COUNTED, f"AND before.batch_id IS NULL {COUNTED}", 2),
    (REFUSED, f"{REFUSED} AND (run.batch_id IS NULL OR workspace.requests_per_minute = 0)", 1),
]


def rewrite(changes: list[tuple[str, str, int]]) -> str:
    """SQL that makes `runs_begin` anew from its own source, and fails where that isn't as it is known here."""
    steps = "".join(
        f"""
        IF (length(source) - length(replace(source, $t${old}$t$, ''))) / length($t${old}$t$) <> {times} THEN
            RAISE EXCEPTION 'runs_begin is not as it was: %', $t${old}$t$;
        END IF;
        source := replace(source, $t${old}$t$, $t${new}$t$);
        """
        for old, new, times in changes
    )
    return f"""
    DO $do$
    DECLARE
        source text := pg_get_functiondef('runs_begin(jsonb)'::regprocedure);
    BEGIN
        {steps}
        EXECUTE source;
    END
    $do$
    """


class Migration(migrations.Migration):
    dependencies = [("runs", "0011_batches")]

    operations = [
        Isolate("runs_batch"),
        Isolate("runs_batchstep"),
        Isolate("runs_batchrow"),
        Isolate("runs_batchresult"),
        SameTenant("runs_batchstep", "batch_id", "runs_batch"),
        SameTenant("runs_batchrow", "batch_id", "runs_batch"),
        SameTenant("runs_batchresult", "row_id", "runs_batchrow"),
        SameTenant("runs_batchresult", "step_id", "runs_batchstep"),
        SameTenant("runs_batchresult", "run_id", "runs_run", on_delete="SET NULL"),
        SameTenant("runs_run", "batch_id", "runs_batch", on_delete="SET NULL"),
        OwnOrDefault("runs_batchstep", "prompt_version_id", "prompts_promptversion"),
        migrations.RunSQL(rewrite(CHANGES), rewrite([(new, old, times) for old, new, times in CHANGES])),
    ]
