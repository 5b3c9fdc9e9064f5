"""Which master keys have wrapped a data key of anybody: a key file that is merely missing is never made anew.

Its names are no tenant's, and whoever may write a data key writes them.
"""

from django.db import migrations

CREATE = """
CREATE TABLE tenants_masterkey (name varchar(200) PRIMARY KEY, since timestamptz NOT NULL DEFAULT now());

CREATE FUNCTION tenants_note_master_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenants_masterkey (name) VALUES (NEW.master) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_master_key AFTER INSERT OR UPDATE OF master ON tenants_datakey
FOR EACH ROW EXECUTE FUNCTION tenants_note_master_key();
"""
DROP = """
DROP TRIGGER note_master_key ON tenants_datakey;
DROP FUNCTION tenants_note_master_key();
DROP TABLE tenants_masterkey;
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0009_data_key_same_tenant")]

    operations = [migrations.RunSQL(CREATE, DROP)]
