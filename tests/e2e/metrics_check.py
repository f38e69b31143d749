"""Is what /metrics says well formed? Asked of promtool, which belongs to Debian's package prometheus."""
import subprocess
import urllib.request


def check_metrics(url, timeout=10):
    """Reads a page of metrics and returns what promtool has to say against it: "" if nothing. A missing promtool raises."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        page = answer.read()
    run = subprocess.run(["promtool", "check", "metrics"], input=page, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    told = run.stdout.decode("utf-8", "replace").strip()
    return told if run.returncode == 0 or told else "promtool exits with %d" % run.returncode
