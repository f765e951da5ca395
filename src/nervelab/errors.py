"""The one exception a user is meant to read."""


class NervelabError(Exception):
    """Bad input or a damaged file, said in one sentence that names the file or key and the remedy.

    The command line prints the message without a traceback and exits with status 2; anything else that is raised
    is a defect of the program and keeps its traceback.
    """
