"""A run may point at a default prompt version, which has no tenant, or at one of its own tenant's. A composite
foreign key can't say "or none", so a trigger does."""

from django.db import migrations

CREATE = """
CREATE FUNCTION runs_prompt_version_same_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM prompts_promptversion
        WHERE id = NEW.prompt_version_id AND (tenant_id IS NULL OR tenant_id = NEW.tenant_id)
    ) THEN
        RAISE foreign_key_violation USING MESSAGE = 'the prompt version is another tenant''s';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER prompt_version_same_tenant BEFORE INSERT OR UPDATE OF prompt_version_id, tenant_id ON runs_run
FOR EACH ROW WHEN (NEW.prompt_version_id IS NOT NULL) EXECUTE FUNCTION runs_prompt_version_same_tenant();
"""
DROP = """
DROP TRIGGER prompt_version_same_tenant ON runs_run;
DROP FUNCTION runs_prompt_version_same_tenant();
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_rls"), ("prompts", "0002_rls")]

    operations = [migrations.RunSQL(CREATE, DROP)]
