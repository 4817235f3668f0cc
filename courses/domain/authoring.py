"""Who may do what in the content admin: groups, a workflow and the two languages, made by one call."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, Q
from wagtail.models import (
    Collection,
    DraftStateMixin,
    GroupApprovalTask,
    GroupCollectionPermission,
    GroupPagePermission,
    Locale,
    LockableMixin,
    Page,
    Workflow,
    WorkflowContentType,
    WorkflowMixin,
    WorkflowPage,
    WorkflowTask,
)
from wagtail.snippets.models import get_snippet_models

from people.domain.roles import AUTHORS_GROUP, MODERATORS_GROUP

WORKFLOW = "Moderation"
LANGUAGES = ("zh-hans", "en")

_MEDIA = {  # Wagtail asks for the permissions of its own models even where they are replaced
    "wagtailimages": ("add_image", "change_image", "choose_image"),
    "wagtaildocs": ("add_document", "change_document", "choose_document"),
}
_AUTHOR_PAGES = ("add_page", "change_page")
_MODERATOR_PAGES = (*_AUTHOR_PAGES, "publish_page", "lock_page", "unlock_page")


@dataclass(frozen=True)
class Authoring:
    """The groups and the workflow."""

    authors: Group
    moderators: Group
    workflow: Workflow


def setup_authoring() -> Authoring:
    """This function will make (or put right) the author and moderator groups, the workflow and the locales.

    Authors write pages, questions, designs and media and submit them; moderators publish. Neither may touch users,
    groups, sites, locales, workflows or settings. Wagtail's own example groups and workflow go, unless somebody uses
    them. Safe to call again.
    """
    with transaction.atomic():
        for code in LANGUAGES:
            Locale.objects.get_or_create(language_code=code)
        authors = Group.objects.get_or_create(name=AUTHORS_GROUP)[0]
        moderators = Group.objects.get_or_create(name=MODERATORS_GROUP)[0]
        general = Permission.objects.filter(
            Q(content_type__app_label="wagtailadmin", codename="access_admin")
            | Q(content_type__app_label="simple_translation", codename="submit_translation")
        )
        authors.permissions.set([*general, *_snippet_permissions(publish=False)])
        moderators.permissions.set([*general, *_snippet_permissions(publish=True)])
        _allow_pages(authors, _AUTHOR_PAGES)
        _allow_pages(moderators, _MODERATOR_PAGES)
        for group in (authors, moderators):
            _allow_media(group)
        workflow = _workflow(moderators)
        Group.objects.filter(name__in=["Editors", "Moderators"], user=None).delete()
    return Authoring(authors, moderators, workflow)


def _snippet_permissions(*, publish: bool) -> list[Permission]:
    """Rights on everything authors edit outside the page tree: the content models that are registered as snippets."""
    wanted = Q(pk__in=[])
    for model in get_snippet_models():
        actions = ["view", "add", "change"]
        if publish:
            actions.append("delete")
            if issubclass(model, DraftStateMixin):
                actions.append("publish")
            if issubclass(model, LockableMixin):
                actions += ["lock", "unlock"]
        elif not issubclass(model, DraftStateMixin):
            actions.append("delete")
        name = model._meta.model_name
        wanted |= Q(content_type=_type(model), codename__in=[f"{action}_{name}" for action in actions])
    return list(Permission.objects.filter(wanted))


def _type(model: type[Model]) -> ContentType:
    return ContentType.objects.get_for_model(model)


def _allow_pages(group: Group, codenames: tuple[str, ...]) -> None:
    root = Page.objects.get(depth=1)
    permissions = list(Permission.objects.filter(content_type=_type(Page), codename__in=codenames))
    GroupPagePermission.objects.filter(group=group).exclude(page=root, permission__in=permissions).delete()
    for permission in permissions:
        GroupPagePermission.objects.get_or_create(group=group, page=root, permission=permission)


def _allow_media(group: Group) -> None:
    root = Collection.objects.get(depth=1)
    for app_label, codenames in _MEDIA.items():
        for permission in Permission.objects.filter(content_type__app_label=app_label, codename__in=codenames):
            GroupCollectionPermission.objects.get_or_create(group=group, collection=root, permission=permission)


def _workflow(moderators: Group) -> Workflow:
    """The one workflow of pages and drafts: a moderator approves."""
    workflow = Workflow.objects.get_or_create(name=WORKFLOW)[0]
    task = GroupApprovalTask.objects.get_or_create(name=WORKFLOW)[0]
    task.groups.set([moderators])
    WorkflowTask.objects.get_or_create(workflow=workflow, task=task, defaults={"sort_order": 0})
    WorkflowPage.objects.update_or_create(page=Page.objects.get(depth=1), defaults={"workflow": workflow})
    for model in get_snippet_models():
        if issubclass(model, WorkflowMixin):
            WorkflowContentType.objects.update_or_create(content_type=_type(model), defaults={"workflow": workflow})
    example = Workflow.objects.filter(name="Moderators approval").exclude(pk=workflow.pk)
    example.filter(workflow_states=None).delete()
    return workflow
