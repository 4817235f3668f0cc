"""What the content admin (Wagtail) does our way: no script inside its pages, so that the policy stays strict there too.

Wagtail starts pickers, date fields and inline panels by scripts written into the page. The templates under
``wagtailadmin/`` and the function below write the same calls as data, and ``static/js/cms-start.js`` runs them.
"""

import json

from django.utils.html import format_html
from wagtail.admin.widgets.chooser import BaseChooser
from wagtail.admin.widgets.workflows import AdminTaskChooser


def render_chooser(self, name, value, attrs=None, renderer=None):
    """Stands for BaseChooser.render: the same field, the same call, as data."""
    value_data = self.get_value_data(value)
    return format_html(
        '{}<template data-cms-start="{}" data-cms-id="{}" data-cms-options="{}"></template>',
        self.render_html(name, value_data, attrs),
        self.js_constructor,
        attrs["id"],
        json.dumps(self.get_js_init_options(attrs["id"], name, value_data)),
    )


def render_task_chooser(self, name, value, attrs=None, renderer=None):
    """The same for the one picker that is started by a function of its own."""
    field = self.render_html(name, self.get_value_data(value), attrs)
    return format_html('{}<template data-cms-call="createTaskChooser" data-cms-id="{}"></template>', field, attrs["id"])


def make_strict() -> None:
    """This function will make every picker of the content admin render without a script of its own."""
    BaseChooser.render = render_chooser
    AdminTaskChooser.render = render_task_chooser
