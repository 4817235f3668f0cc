"""The print job: a part of a few hundred certificates at a time, put together at the end."""

import datetime as dt
import io
import zipfile

from django.core.files.base import ContentFile, File
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from certificates.domain.queries import in_print_order, printable, visible_certificates
from certificates.domain.rendering import certificate_files, certificates_pdf
from core.jobs import JobKind, JobProblem, every, job_kind
from core.models import Job
from core.models.jobs import private_storage
from core.pdf import PdfToolsMissing, join
from people.domain.access import Actor

PART = 200
KEPT = dt.timedelta(days=7)


@job_kind("certificates.print", title=gettext_lazy("Printing certificates"))
class PrintCertificates(JobKind):
    """Acts as the person who asked: what they may no longer see when it runs is not printed (TRUST PG-09)."""

    def start(self, job: Job) -> int:
        return len(job.arguments["ids"])

    def chunk(self, job: Job) -> int:
        ids = job.arguments["ids"][job.cursor : job.cursor + PART]
        actor = Actor(user=job.requested_by, on=timezone.localdate())
        found = list(in_print_order(printable(visible_certificates(actor).filter(pk__in=ids))))
        if len(found) < len(ids):
            raise JobProblem(
                _(
                    "Some of these certificates were revoked, or are no longer yours to see, since you asked. Choose again."
                )
            )
        try:
            content = self._zip(found) if job.arguments["form"] == "zip" else certificates_pdf(found)
        except PdfToolsMissing as missing:
            raise JobProblem(_("This server lacks what PDFs need: %(what)s.") % {"what": missing}) from missing
        name = _part(job, job.cursor)
        private_storage().delete(name)  # of a run that died after writing it
        private_storage().save(name, ContentFile(content))
        return len(ids)

    @staticmethod
    def _zip(certificates) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # PDFs are compressed already
            for name, content in certificate_files(certificates):
                archive.writestr(name, content)
        return out.getvalue()

    def finish(self, job: Job) -> dict:
        storage, form = private_storage(), job.arguments["form"]
        parts = [_part(job, start) for start in range(0, job.total, PART)]
        out = io.BytesIO()
        if form == "zip":
            with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
                for part in parts:
                    with storage.open(part) as file, zipfile.ZipFile(file) as source:
                        for name in source.namelist():
                            archive.writestr(name, source.read(name))
        else:
            out.write(join(_content(part) for part in parts))
        out.seek(0)
        name = storage.save(f"jobs/certificates-{job.pk}.{form}", File(out))
        Job.objects.filter(pk=job.pk).update(file=name)
        transaction.on_commit(lambda: [storage.delete(part) for part in parts])
        return {"count": job.total, "form": form}

    def url(self, job: Job) -> str:
        return reverse("certificates:print_job", args=[job.pk])


def _content(name: str) -> bytes:
    with private_storage().open(name) as file:
        return file.read()


def _part(job: Job, start: int) -> str:
    return f"jobs/{job.pk}/{start:06d}.part"


@every(dt.timedelta(hours=1))
def forget_prints(now) -> None:
    """Delete printed files a week after they were made; they can be printed again at any time."""
    for job in (
        Job.objects.filter(kind="certificates.print", finished_at__lt=now - KEPT).exclude(file="").exclude(file=None)
    ):
        job.file.delete(save=False)
        Job.objects.filter(pk=job.pk).update(file="")
