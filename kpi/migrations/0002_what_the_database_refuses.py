"""History is only added to; what is published, submitted, decided or closed stands still; nobody pays himself."""

from django.db import migrations

from core.append_only import append_only, refuse

_HISTORY = (
    "kpi_consultationnote",
    "kpi_acknowledgement",
    "kpi_measure",
    "kpi_scorecard",
    "kpi_scorecardline",
    "kpi_calibration",
    "kpi_paybase",
    "kpi_payreturn",
    "kpi_payview",
    "kpi_vote",
)
_LOCKED = "(SELECT state FROM kpi_payrun WHERE id = {row}.run_id) NOT IN ('draft', 'computed')"
_FIXED = (
    "code",
    "kind",
    "corrects_id",
    "cycle_id",
    "version_id",
    "scope_id",
    "prepared_by_id",
    "reserve_fen",
    "total_fen",
    "lines_count",
    "inputs_hash",
    "lines_hash",
)


def _run_table(table: str) -> list:
    says = "the pay run was submitted"
    new, old = _LOCKED.format(row="NEW"), _LOCKED.format(row="OLD")
    return [
        refuse(f"{table}_no_insert", table, "INSERT", new, says=says),
        refuse(f"{table}_no_update", table, "UPDATE", f"{old} OR {new}", says=says),
        refuse(f"{table}_no_delete", table, "DELETE", old, says=says),
    ]


class Migration(migrations.Migration):
    dependencies = [("kpi", "0001_start")]
    operations = [
        *(append_only(table) for table in _HISTORY),
        refuse(
            "kpi_rule_no_update",
            "kpi_ruleversion",
            "UPDATE",
            "OLD.state = 'published'",
            says="a published rule does not change",
        ),
        refuse(
            "kpi_rule_no_delete",
            "kpi_ruleversion",
            "DELETE",
            "OLD.state = 'published'",
            says="a published rule does not change",
        ),
        refuse(
            "kpi_review_no_update",
            "kpi_review",
            "UPDATE",
            "OLD.published_at IS NOT NULL",
            says="a published review does not change",
            changing=(
                "cycle_id",
                "employee_id",
                "number",
                "supersedes_id",
                "unit_id",
                "unit_path_zh",
                "unit_path_en",
                "position_id",
                "manager_id",
                "scorecard_id",
                "total",
                "grade",
                "coefficient",
                "published_at",
                "published_by_id",
                "object_until",
            ),
        ),
        refuse(
            "kpi_review_no_delete",
            "kpi_review",
            "DELETE",
            "OLD.published_at IS NOT NULL",
            says="a published review does not change",
        ),
        refuse(
            "kpi_rating_no_update",
            "kpi_rating",
            "UPDATE",
            "OLD.submitted_at IS NOT NULL",
            says="a rating that was handed in does not change",
        ),
        refuse(
            "kpi_rating_no_delete",
            "kpi_rating",
            "DELETE",
            "OLD.submitted_at IS NOT NULL",
            says="a rating that was handed in does not change",
        ),
        refuse(
            "kpi_appeal_no_update",
            "kpi_appeal",
            "UPDATE",
            "OLD.state <> 'open'",
            says="an objection that was decided does not change",
        ),
        refuse("kpi_appeal_no_delete", "kpi_appeal", "DELETE", "1 = 1", says="an objection is never deleted"),
        *_run_table("kpi_payline"),
        *_run_table("kpi_paypool"),
        refuse(
            "kpi_payrun_no_change",
            "kpi_payrun",
            "UPDATE",
            "OLD.state NOT IN ('draft', 'computed')",
            says="the pay run was submitted",
            changing=_FIXED,
        ),
        refuse(
            "kpi_payrun_no_way_back",
            "kpi_payrun",
            "UPDATE",
            "OLD.state IN ('approved', 'exported', 'closed') AND NEW.state IN ('draft', 'computed', 'submitted')",
            says="an approved pay run does not go back",
        ),
        refuse("kpi_payrun_closed", "kpi_payrun", "UPDATE", "OLD.state = 'closed'", says="the pay run is closed"),
        refuse(
            "kpi_payrun_no_delete",
            "kpi_payrun",
            "DELETE",
            "OLD.state NOT IN ('draft', 'computed')",
            says="the pay run was submitted",
        ),
        # Preparer, checker and beneficiary are three people (TRUST MC-15).
        refuse(
            "kpi_payline_not_own",
            "kpi_payline",
            "INSERT",
            "(SELECT user_id FROM people_employee WHERE id = NEW.employee_id)"
            " IN (SELECT prepared_by_id FROM kpi_payrun WHERE id = NEW.run_id)",
            says="who prepares a pay run is not paid by it",
        ),
        refuse(
            "kpi_payrun_not_own",
            "kpi_payrun",
            "UPDATE",
            "NEW.state IN ('submitted', 'approved') AND EXISTS (SELECT 1 FROM kpi_payline JOIN people_employee"
            " ON people_employee.id = kpi_payline.employee_id WHERE kpi_payline.run_id = NEW.id"
            " AND people_employee.user_id IN (NEW.prepared_by_id, NEW.checked_by_id))",
            says="who prepares or checks a pay run is not paid by it",
        ),
        refuse("kpi_award_no_delete", "kpi_award", "DELETE", "1 = 1", says="an award is revoked, never deleted"),
    ]
