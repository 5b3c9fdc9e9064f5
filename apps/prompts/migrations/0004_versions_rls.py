"""Who may read and point at what; and that a version, once written, stays as it is."""

from django.db import migrations

from apps.tenants.rls import Isolate, OwnOrDefault

CREATE = """
CREATE FUNCTION prompts_version_is_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING MESSAGE = 'a prompt version is never changed: write another one';
END
$$;
CREATE TRIGGER version_is_written BEFORE UPDATE ON prompts_promptversion FOR EACH ROW WHEN (
    (OLD.tenant_id, OLD.prompt_id, OLD.number, OLD.body, OLD.variables, OLD.tier, OLD.max_output_tokens,
     OLD.output_schema, OLD.checksum)
    IS DISTINCT FROM
    (NEW.tenant_id, NEW.prompt_id, NEW.number, NEW.body, NEW.variables, NEW.tier, NEW.max_output_tokens,
     NEW.output_schema, NEW.checksum)
) EXECUTE FUNCTION prompts_version_is_written();
"""
DROP = """
DROP TRIGGER version_is_written ON prompts_promptversion;
DROP FUNCTION prompts_version_is_written();
"""


class Migration(migrations.Migration):
    dependencies = [("prompts", "0003_versions_and_experiments")]

    operations = [
        Isolate("prompts_publication", readable="tenant_id IS NULL"),
        Isolate("prompts_experiment", readable="tenant_id IS NULL"),
        Isolate("prompts_experimentarm", readable="tenant_id IS NULL"),
        OwnOrDefault("prompts_publication", "version_id", "prompts_promptversion"),
        OwnOrDefault("prompts_experimentarm", "experiment_id", "prompts_experiment", same=True),
        OwnOrDefault("prompts_experimentarm", "version_id", "prompts_promptversion"),
        migrations.RunSQL(CREATE, DROP),
    ]
