"""The ledger: three functions, each of which is one statement to its caller, and so all or nothing.

Whoever changes what a workspace has spent first locks the row of the workspace itself. Calls of one workspace
therefore take turns, for the moment that the statement takes; those of different ones never wait for each other.
The clock is read after the lock, so that midnight is the same moment for everybody.
"""

from django.db import migrations

CREATE = """
ALTER TABLE runs_spend SET (fillfactor = 50);  -- updated all the time: room for the new version beside the old one

-- Whose calls a call is counted among.
CREATE FUNCTION runs_subjects_of(person uuid, feature text, api_key uuid) RETURNS TABLE (scope text, subject text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT * FROM (
        VALUES ('workspace', ''), ('user', person::text), ('feature', feature), ('api_key', api_key::text)
    ) AS subjects (scope, subject)
    WHERE subject IS NOT NULL
$$;

-- The budgets that hold for a call, each with what its subject has spent and reserved in its period.
-- A budget of one's own replaces the one that each has.
CREATE FUNCTION runs_budgets_of(tenant uuid, person uuid, feature text, api_key uuid) RETURNS TABLE (
    budget_id uuid, scope text, subject text, period text, cap_usd numeric, soft_usd numeric, soft_action text,
    is_hard boolean, spent_usd numeric, reserved_usd numeric, period_start date, resets_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT budget.id, subjects.scope, subjects.subject, budget.period::text, budget.cap_usd,
        budget.cap_usd * budget.soft_percent / 100, budget.soft_action::text, budget.is_hard,
        CASE budget.period WHEN 'day' THEN spend.day_usd ELSE spend.month_usd END,
        CASE budget.period WHEN 'day' THEN spend.day_reserved_usd ELSE spend.month_reserved_usd END,
        CASE budget.period WHEN 'day' THEN spend.day ELSE spend.month END,
        (CASE budget.period WHEN 'day' THEN spend.day + interval '1 day' ELSE spend.month + interval '1 month' END)
            ::timestamp AT TIME ZONE 'UTC'
    FROM runs_subjects_of(person, feature, api_key) AS subjects
    JOIN runs_budget AS budget ON budget.tenant_id = tenant AND budget.scope = subjects.scope
    JOIN runs_spend AS spend
        ON spend.tenant_id = tenant AND spend.scope = subjects.scope AND spend.subject = subjects.subject
    WHERE budget.subject = subjects.subject OR budget.subject = '' AND NOT EXISTS (
        SELECT FROM runs_budget AS own
        WHERE own.tenant_id = tenant AND own.scope = budget.scope AND own.period = budget.period
            AND own.subject = subjects.subject
    )
    ORDER BY array_position(ARRAY['workspace', 'user', 'feature', 'api_key'], subjects.scope), budget.period
$$;

-- The workspace's turn: nobody else changes its ledger until this transaction ends.
CREATE FUNCTION runs_take_turn(tenant uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM runs_spend WHERE tenant_id = tenant AND scope = 'workspace' AND subject = '' FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO runs_spend (
            id, tenant_id, scope, subject, day, day_usd, day_reserved_usd, day_tokens, day_reserved_tokens,
            month, month_usd, month_reserved_usd
        ) VALUES (
            gen_random_uuid(), tenant, 'workspace', '', (now() AT TIME ZONE 'UTC')::date, 0, 0, 0, 0,
            date_trunc('month', now() AT TIME ZONE 'UTC')::date, 0, 0
        ) ON CONFLICT DO NOTHING;
        PERFORM FROM runs_spend WHERE tenant_id = tenant AND scope = 'workspace' AND subject = '' FOR UPDATE;
    END IF;
    RETURN clock_timestamp();
END
$$;

-- Every alert that is due and wasn't given in its period: one at 100 % also when a call was refused because it could
-- have gone beyond. Returns the ids of the new ones.
CREATE FUNCTION runs_alert_of(tenant uuid, person uuid, feature text, api_key uuid, refused_by uuid)
RETURNS jsonb LANGUAGE sql AS $$
    WITH given AS (
        INSERT INTO runs_alert (id, tenant_id, budget_id, subject, period_start, percent, spent_usd, created_at)
        SELECT gen_random_uuid(), tenant, budget.budget_id, budget.subject, budget.period_start, percent,
            budget.spent_usd, clock_timestamp()
        FROM runs_budgets_of(tenant, person, feature, api_key) AS budget, LATERAL (
            SELECT DISTINCT unnest(ARRAY[50, 80, 100, round(budget.soft_usd * 100 / budget.cap_usd)::int])
        ) AS thresholds (percent)
        WHERE budget.spent_usd >= budget.cap_usd * percent / 100
            OR budget.budget_id = refused_by AND percent = 100
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT coalesce(jsonb_agg(id), '[]') FROM given
$$;

-- Reserve what a call may take at most, and write its run: both or neither.
--   p.run      the row; p.cheap, if given, columns of the cheaper call that a soft budget makes of it
--   p.revision what the caller knew of everybody's policy and of the tenant's
--   p.refusal  why the caller refuses it already, which is then only written
-- Answers {"stale": true}, {"run": ...} or {"refused": {...}, "run": ...}, with new alerts.
CREATE FUNCTION runs_begin(p jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    run runs_run := jsonb_populate_record(NULL::runs_run, p->'run');
    cheap runs_run;
    workspace record;
    budget record;
    budgets record;
    refused jsonb := p->'refusal';
    refused_by uuid;
    at timestamptz;
    today date;
    month_now date;
    again_at timestamptz;
BEGIN
    SELECT tenant.policy_revision, everybody.revision, tenant.requests_per_minute, tenant.tokens_per_day
    INTO workspace FROM tenants_tenant AS tenant, tenants_policyrevision AS everybody WHERE tenant.id = run.tenant_id;
    IF NOT FOUND OR (p->'revision')
        IS DISTINCT FROM jsonb_build_array(workspace.revision, workspace.policy_revision)
    THEN
        RETURN '{"stale": true}';
    END IF;

    at := runs_take_turn(run.tenant_id);
    run.created_at := at;

    -- What is asked before an answer (which model takes it, whether moderation objects) isn't counted, and isn't asked
    -- for an answer that would be refused.
    IF refused IS NULL AND run.purpose IN ('answer', 'classify', 'moderate') AND run.kind = 'completion'
        AND run.parent_id IS NULL
        AND workspace.requests_per_minute IS NOT NULL AND coalesce(run.user_id, run.api_key_id) IS NOT NULL
    THEN
        IF workspace.requests_per_minute = 0 THEN
            again_at := 'infinity';
        ELSIF run.user_id IS NOT NULL THEN
            SELECT before.created_at + interval '1 minute' INTO again_at FROM runs_run AS before
            WHERE before.tenant_id = run.tenant_id AND before.user_id = run.user_id
                AND before.created_at > at - interval '1 minute' AND (before.status <> 'refused' OR before.cost_usd > 0)
                AND before.purpose = 'answer' AND before.kind = 'completion' AND before.parent_id IS NULL
            ORDER BY before.created_at DESC OFFSET workspace.requests_per_minute - 1 LIMIT 1;
        ELSE
            SELECT before.created_at + interval '1 minute' INTO again_at FROM runs_run AS before
            WHERE before.tenant_id = run.tenant_id AND before.api_key_id = run.api_key_id
                AND before.created_at > at - interval '1 minute' AND (before.status <> 'refused' OR before.cost_usd > 0)
                AND before.purpose = 'answer' AND before.kind = 'completion' AND before.parent_id IS NULL
            ORDER BY before.created_at DESC OFFSET workspace.requests_per_minute - 1 LIMIT 1;
        END IF;
        IF again_at IS NOT NULL THEN
            refused := jsonb_build_object(
                'code', 'too_many_requests', 'limit', workspace.requests_per_minute,
                'resets_at', nullif(again_at, 'infinity')
            );
        END IF;
    END IF;

    IF refused IS NULL THEN
        -- A later day or month begins at zero. What is reserved here is given back below if it doesn't fit.
        today := (at AT TIME ZONE 'UTC')::date;
        month_now := date_trunc('month', today)::date;
        INSERT INTO runs_spend AS spend (
            id, tenant_id, scope, subject, day, day_usd, day_reserved_usd, day_tokens, day_reserved_tokens,
            month, month_usd, month_reserved_usd
        )
        SELECT gen_random_uuid(), run.tenant_id, subjects.scope, subjects.subject,
            today, 0, run.reserved_usd, 0, run.reserved_tokens, month_now, 0, run.reserved_usd
        FROM runs_subjects_of(run.user_id, run.feature, run.api_key_id) AS subjects
        ON CONFLICT (tenant_id, scope, subject) DO UPDATE SET
            day = greatest(spend.day, today),
            day_usd = CASE WHEN spend.day < today THEN 0 ELSE spend.day_usd END,
            day_reserved_usd = CASE WHEN spend.day < today THEN 0 ELSE spend.day_reserved_usd END
                + run.reserved_usd,
            day_tokens = CASE WHEN spend.day < today THEN 0 ELSE spend.day_tokens END,
            day_reserved_tokens = CASE WHEN spend.day < today THEN 0 ELSE spend.day_reserved_tokens END
                + run.reserved_tokens,
            month = greatest(spend.month, month_now),
            month_usd = CASE WHEN spend.month < month_now THEN 0 ELSE spend.month_usd END,
            month_reserved_usd = CASE WHEN spend.month < month_now THEN 0 ELSE spend.month_reserved_usd END
                + run.reserved_usd;

        SELECT count(*) AS number,
            coalesce(bool_or(
                holds.soft_action = 'degrade' AND (
                    holds.spent_usd + holds.reserved_usd - run.reserved_usd >= holds.soft_usd
                    OR holds.is_hard AND holds.spent_usd + holds.reserved_usd > holds.cap_usd
                )
            ), false) AS is_tight
        INTO budgets FROM runs_budgets_of(run.tenant_id, run.user_id, run.feature, run.api_key_id) AS holds;

        IF budgets.is_tight AND p ? 'cheap' THEN
            cheap := jsonb_populate_record(run, p->'cheap');
            PERFORM runs_reserve_more(
                run, cheap.reserved_usd - run.reserved_usd, cheap.reserved_tokens - run.reserved_tokens
            );
            run := cheap;
        END IF;

        IF budgets.number > 0 AND run.reserved_usd > 0 THEN
            SELECT holds.* INTO budget
            FROM runs_budgets_of(run.tenant_id, run.user_id, run.feature, run.api_key_id) AS holds
            WHERE holds.is_hard AND holds.spent_usd + holds.reserved_usd > holds.cap_usd LIMIT 1;
            IF FOUND THEN
                -- Where only what other calls hold is in the way, some of it will be given back in a moment.
                refused := jsonb_build_object(
                    'code', CASE WHEN budget.spent_usd + run.reserved_usd > budget.cap_usd
                        THEN 'budget_spent' ELSE 'budget_busy' END,
                    'scope', budget.scope, 'subject', budget.subject, 'period', budget.period,
                    'cap_usd', budget.cap_usd::text, 'spent_usd', budget.spent_usd::text,
                    'needed_usd', run.reserved_usd::text, 'resets_at', budget.resets_at
                );
                IF refused->>'code' = 'budget_spent' THEN
                    refused_by := budget.budget_id;
                END IF;
            END IF;
        END IF;

        IF refused IS NULL AND workspace.tokens_per_day IS NOT NULL AND run.reserved_tokens > 0 THEN
            SELECT jsonb_build_object(
                'code', 'too_many_tokens', 'limit', workspace.tokens_per_day, 'used', spend.day_tokens,
                'resets_at', (spend.day + 1)::timestamp AT TIME ZONE 'UTC'
            ) INTO refused FROM runs_spend AS spend
            WHERE spend.tenant_id = run.tenant_id AND spend.scope = 'workspace' AND spend.subject = ''
                AND spend.day_tokens + spend.day_reserved_tokens > workspace.tokens_per_day;
        END IF;

        IF refused IS NOT NULL THEN
            PERFORM runs_reserve_more(run, -run.reserved_usd, -run.reserved_tokens);
        END IF;
    END IF;

    IF refused IS NOT NULL THEN
        run.status := 'refused';
        run.error_code := refused->>'code';
        run.reserved_usd := 0;
        run.reserved_tokens := 0;
        run.cost_usd := 0;
        run.finished_at := at;
    END IF;
    INSERT INTO runs_run VALUES (run.*);

    RETURN jsonb_strip_nulls(jsonb_build_object('refused', refused)) || jsonb_build_object(
        'run', jsonb_build_object(
            'tier', run.tier, 'created_at', run.created_at, 'finished_at', run.finished_at, 'status', run.status,
            'is_cheap', cheap.id IS NOT NULL
        ),
        'alerts', CASE WHEN refused_by IS NULL THEN '[]' ELSE
            runs_alert_of(run.tenant_id, run.user_id, run.feature, run.api_key_id, refused_by) END
    );
END
$$;

-- Add to what a run has reserved, or take from it, in the periods that it began in.
CREATE FUNCTION runs_reserve_more(run runs_run, usd numeric, tokens bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE runs_spend AS spend SET
        day_reserved_usd = day_reserved_usd
            + CASE WHEN spend.day = (run.created_at AT TIME ZONE 'UTC')::date THEN usd ELSE 0 END,
        day_reserved_tokens = day_reserved_tokens
            + CASE WHEN spend.day = (run.created_at AT TIME ZONE 'UTC')::date THEN tokens ELSE 0 END,
        month_reserved_usd = month_reserved_usd
            + CASE WHEN spend.month = date_trunc('month', run.created_at AT TIME ZONE 'UTC')::date THEN usd ELSE 0 END
    FROM runs_subjects_of(run.user_id, run.feature, run.api_key_id) AS subjects
    WHERE spend.tenant_id = run.tenant_id AND spend.scope = subjects.scope AND spend.subject = subjects.subject
$$;

-- A run that goes on needs more than it reserved. Answers whether it may have it; nothing changes if not.
CREATE FUNCTION runs_extend(tenant uuid, run_id uuid, usd numeric, tokens bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    run runs_run;
    has_room boolean;
BEGIN
    PERFORM runs_take_turn(tenant);
    SELECT * INTO run FROM runs_run WHERE tenant_id = tenant AND id = run_id AND status = 'running' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT coalesce(bool_and(NOT holds.is_hard OR holds.spent_usd + holds.reserved_usd + usd <= holds.cap_usd), true)
    INTO has_room FROM runs_budgets_of(tenant, run.user_id, run.feature, run.api_key_id) AS holds;
    IF has_room THEN
        -- Once its day is over nobody counts for it any more, and so nothing can be added.
        SELECT spend.day = (run.created_at AT TIME ZONE 'UTC')::date
        INTO has_room FROM runs_spend AS spend
        WHERE spend.tenant_id = tenant AND spend.scope = 'workspace' AND spend.subject = '';
    END IF;
    IF has_room THEN
        SELECT workspace.tokens_per_day IS NULL
            OR spend.day_tokens + spend.day_reserved_tokens + tokens <= workspace.tokens_per_day
        INTO has_room FROM runs_spend AS spend, tenants_tenant AS workspace
        WHERE workspace.id = tenant AND spend.tenant_id = tenant AND spend.scope = 'workspace' AND spend.subject = '';
    END IF;
    IF has_room THEN
        PERFORM runs_reserve_more(run, usd, tokens);
        UPDATE runs_run SET reserved_usd = reserved_usd + usd, reserved_tokens = reserved_tokens + tokens
        WHERE tenant_id = tenant AND id = run_id;
    END IF;
    RETURN has_room;
END
$$;

-- Close a run: what it reserved is given back, and what it cost is spent. Only the first time; a run that was given
-- up as lost, at all that it had reserved, is corrected by its own end.
CREATE FUNCTION runs_close(tenant uuid, run_id uuid, closing jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    before runs_run;
    run runs_run;
    usd numeric;
    tokens bigint;
BEGIN
    PERFORM runs_take_turn(tenant);
    SELECT * INTO before FROM runs_run WHERE tenant_id = tenant AND id = run_id FOR UPDATE;
    IF NOT FOUND OR before.status NOT IN ('running', 'lost')
        OR before.status = 'lost' AND closing->>'status' = 'lost'
    THEN
        RETURN '{"closed": false, "alerts": []}';
    END IF;
    run := jsonb_populate_record(before, closing);
    run.finished_at := clock_timestamp();
    IF run.status = 'lost' THEN
        run.cost_usd := before.reserved_usd;
    END IF;
    UPDATE runs_run SET
        status = run.status, error_code = run.error_code, finished_at = run.finished_at,
        provider_answered = run.provider_answered, model_answered = run.model_answered, request_id = run.request_id,
        payer = run.payer, provider_key_id = (
            SELECT id FROM tenants_providerkey AS held WHERE held.tenant_id = tenant AND held.id = run.provider_key_id
        ),
        input_tokens = run.input_tokens, cached_tokens = run.cached_tokens,
        cache_write_tokens = run.cache_write_tokens, output_tokens = run.output_tokens,
        reasoning_tokens = run.reasoning_tokens, is_estimated = run.is_estimated,
        cost_usd = run.cost_usd, latency_ms = run.latency_ms, ttft_ms = run.ttft_ms,
        is_cached = run.is_cached, cached_from_id = run.cached_from_id, saved_usd = run.saved_usd,
        attempts = run.attempts, flags = run.flags
    WHERE tenant_id = tenant AND id = run_id;

    usd := coalesce(run.cost_usd, 0);
    tokens := CASE WHEN run.status = 'lost' THEN before.reserved_tokens ELSE run.input_tokens::bigint + run.output_tokens END;
    IF run.kind <> 'completion' THEN
        tokens := 0;
    END IF;
    IF before.status = 'lost' THEN
        usd := usd - coalesce(before.cost_usd, 0);
        tokens := tokens - before.reserved_tokens;
    ELSE
        PERFORM runs_reserve_more(before, -before.reserved_usd, -before.reserved_tokens);
    END IF;
    UPDATE runs_spend AS spend SET
        day_usd = day_usd + CASE WHEN spend.day = (run.created_at AT TIME ZONE 'UTC')::date THEN usd ELSE 0 END,
        day_tokens = day_tokens
            + CASE WHEN spend.day = (run.created_at AT TIME ZONE 'UTC')::date THEN tokens ELSE 0 END,
        month_usd = month_usd
            + CASE WHEN spend.month = date_trunc('month', run.created_at AT TIME ZONE 'UTC')::date THEN usd ELSE 0 END
    FROM runs_subjects_of(run.user_id, run.feature, run.api_key_id) AS subjects
    WHERE spend.tenant_id = tenant AND spend.scope = subjects.scope AND spend.subject = subjects.subject;

    RETURN jsonb_build_object(
        'closed', true, 'finished_at', run.finished_at, 'cost_usd', run.cost_usd::text,
        'alerts', runs_alert_of(tenant, run.user_id, run.feature, run.api_key_id, NULL)
    );
END
$$;
"""
DROP = """
DROP FUNCTION runs_close(uuid, uuid, jsonb);
DROP FUNCTION runs_extend(uuid, uuid, numeric, bigint);
DROP FUNCTION runs_begin(jsonb);
DROP FUNCTION runs_reserve_more(runs_run, numeric, bigint);
DROP FUNCTION runs_alert_of(uuid, uuid, text, uuid, uuid);
DROP FUNCTION runs_take_turn(uuid);
DROP FUNCTION runs_budgets_of(uuid, uuid, text, uuid);
DROP FUNCTION runs_subjects_of(uuid, text, uuid);
ALTER TABLE runs_spend RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_gateway_rls")]

    operations = [migrations.RunSQL(CREATE, DROP)]
