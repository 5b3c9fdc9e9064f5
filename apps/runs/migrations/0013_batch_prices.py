from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0012_batches_rls'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='modelprice',
            name='model_price_once_a_day',
        ),
        migrations.AddField(
            model_name='modelprice',
            name='processing',
            field=models.CharField(choices=[('online', 'At once'), ('batch', 'Within 24 hours')], default='online', max_length=6),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=models.UniqueConstraint(fields=('provider', 'model', 'processing', 'valid_from', 'min_input_tokens'), name='model_price_once_a_day'),
        ),
    ]
