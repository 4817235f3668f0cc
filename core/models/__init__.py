from core.models.events import ChainHead, Event
from core.models.jobs import Job
from core.models.media import File, Picture, Rendition
from core.models.messages import Message, Robot
from core.models.notices import Notice

__all__ = ["ChainHead", "Event", "File", "Job", "Message", "Notice", "Picture", "Rendition", "Robot"]
