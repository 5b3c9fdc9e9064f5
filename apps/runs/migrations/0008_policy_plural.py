from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_answers_by_terms")]

    operations = [migrations.AlterModelOptions(name="policy", options={"verbose_name_plural": "policies"})]
