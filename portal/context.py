"""What every page knows: which parts of the site the person may open."""


def navigation(request):
    return {}
