"""What axe-core finds wrong with a page, in Chromium: in light, dark, print, and 320 px wide.

A page may hold no script, so that a copy is looked at: without its policy of contents, and with axe-core behind it. Colours of dark
and of print are chosen by taking the style sheet's conditions away. axe-core comes from npm's registry, pinned by hash, into a cache.
"""

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request

VERSION = "4.14.1"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Name, width, and the conditions of the style sheet that hold or do not.
LOOKS = (("light", 1200, {"(prefers-color-scheme:dark)": False, "print": False}),
         ("dark", 1200, {"(prefers-color-scheme:dark)": True, "print": False}),
         ("print", 794, {"(prefers-color-scheme:dark)": False, "print": True}),
         ("320 px", 320, {"(prefers-color-scheme:dark)": False, "print": False}))
# Chromium's window is at least 500 px wide: narrower pages stand in a frame.
FRAME = 500
RUN = """
<script>%s</script>
<script>
axe.run(document, {runOnly: %s, resultTypes: ["violations"]}).then(function (r) {
  var wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  var cut = Array.from(document.querySelectorAll(".over")).filter(function (o) {
    return !o.closest("details") && o.scrollWidth > o.clientWidth + 1; }).length;
  var told = JSON.stringify({wide: wide, cut: cut, rules: r.passes.length, found: r.violations.map(function (v) {
    return v.id + ": " + v.nodes.map(function (n) { return n.target.join(" "); }).slice(0, 5).join(", "); })});
  (window.frameElement ? parent : window).document.body.dataset.axe = told;
});
</script>
"""


# As npm has it, without npm: Debian's is several hundred packages, and others' keep it out.
REGISTRY = os.environ.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")


def missing():
    """What is not installed; empty: nothing."""
    return [name for name in ("chromium",) if shutil.which(name) is None]


def source(cache):
    """axe-core itself."""
    path = os.path.join(cache, "axe-core-%s.tgz" % VERSION)
    if not os.path.exists(path):
        os.makedirs(cache, exist_ok=True)
        with urllib.request.urlopen("%s/axe-core/-/axe-core-%s.tgz" % (REGISTRY, VERSION), timeout=60) as answer:
            data = answer.read()
        with open(path + ".new", "wb") as f:
            f.write(data)
        os.replace(path + ".new", path)
    with open(path, "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != SHA256:
            raise RuntimeError("%s: another file than the one that is pinned" % path)
    with tarfile.open(path) as tar:
        return tar.extractfile("package/axe.min.js").read().decode("utf-8")


def dressed(page, conditions):
    """The page as it looks where the conditions hold, all details open."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    page = page.replace("<details>", "<details open>")
    for condition, holds in conditions.items():
        page = re.sub(r"@media (screen and )?" + re.escape(condition), "@media " + ("all" if holds else "not all"), page)
    # What the machine's own setting would add.
    return page.replace("color-scheme:light dark", "color-scheme:" + ("dark" if conditions["(prefers-color-scheme:dark)"] else "light"))


def look(page, axe, width, conditions):
    """{"wide": px beyond the window, "cut": tables that are wider than their place, "rules": how many passed, "found": [violations]}"""
    with tempfile.TemporaryDirectory(prefix="brim-axe-") as folder:
        inner, outer = os.path.join(folder, "page.html"), os.path.join(folder, "outer.html")
        with open(inner, "w", encoding="utf-8") as f:
            f.write(dressed(page, conditions).replace("</body>", RUN % (axe, json.dumps(TAGS)) + "</body>"))
        with open(outer, "w", encoding="utf-8") as f:
            f.write('<!doctype html><body><iframe src="page.html" style="border:0;width:%dpx;height:3000px"></iframe>' % width)
        shown = inner if width >= FRAME else outer
        dom = subprocess.run(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--allow-file-access-from-files", "--user-data-dir=" + os.path.join(folder, "profile"), "--window-size=%d,1500" % max(width, FRAME),
             "--virtual-time-budget=120000", "--timeout=120000", "--dump-dom", "file://" + shown],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=300).stdout.decode("utf-8")
    told = re.search(r'data-axe="([^"]*)"', dom)
    if told is None:
        raise RuntimeError("axe-core told nothing of the page")
    return json.loads(html.unescape(told.group(1)))
