"""What a workspace's members see and settle about the workspace itself."""

from django.urls import path

from . import audit_views, flag_views, leaving_views, member_views, settings_views

app_name = "workspace"
urlpatterns = [
    path("members/", member_views.members, name="members"),
    path("members/leave/", member_views.leave, name="leave"),
    path("members/invite/", member_views.invite, name="invite"),
    path("members/invitations/<uuid:id>/revoke/", member_views.revoke_invitation, name="revoke-invitation"),
    path("members/<uuid:id>/role/", member_views.change_role, name="change-role"),
    path("members/<uuid:id>/remove/", member_views.remove, name="remove-member"),
    path("members/<uuid:id>/transfer/", member_views.transfer, name="transfer"),
    path("audit/", audit_views.audit_log, name="audit-log"),
    path("audit/export/", audit_views.export_audit_log, name="export-audit-log"),
    path("leaving/", leaving_views.leaving_page, name="leaving"),
    path("leaving/export/", leaving_views.prepare_export, name="prepare-export"),
    path("leaving/export/<uuid:id>/", leaving_views.download_export, name="download-export"),
    path("leaving/delete/", leaving_views.delete_workspace, name="delete"),
    path("settings/", settings_views.general, name="settings"),
    path("settings/address/", settings_views.address, name="address"),
    path("settings/security/", settings_views.security, name="security"),
    path("settings/features/", flag_views.features, name="features"),
    path("settings/domains/", settings_views.domain_list, name="domains"),
    path("settings/domains/add/", settings_views.add_domain, name="add-domain"),
    path("settings/domains/<uuid:id>/check/", settings_views.check_domain, name="check-domain"),
    path("settings/domains/<uuid:id>/remove/", settings_views.remove_domain, name="remove-domain"),
]
