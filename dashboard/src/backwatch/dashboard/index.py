"""The page in which Streamlit's front end starts, with title, icon and the URL of its server.

By itself, the front end guesses the URL: on ``/alerts`` it first requests ``/alerts/_stcore/health``, which does not
exist. And a switch to a page with a query writes two entries into the browser's history: the new query behind the old
path, then the new path. *Back* would end at the first one, where a pending refresh cuts off *forward*: that entry is
left out.

Every inline script is known here, so the policy can name each by its hash and allow no other.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

PAGES: Final = ("overview", "alerts", "alert", "resources", "processes", "rules", "rule")
"""Every page of ``pages/app.py``: any other path is not found."""
_WHERE: Final = (
    "window.__streamlit={BACKEND_BASE_URL:location.origin+"
    f'location.pathname.replace(/\\/({"|".join(PAGES)})\\/?$/,"/")}};'
)
_ONE_ENTRY: Final = (
    "(push=>{history.pushState=function(state,title,url){const to=new URL(url??'',location.href);"
    "if(to.pathname!==location.pathname||"
    "!/\\/(overview|alerts|rules)?\\?(.*&)?(id|name)=/.test(to.pathname+to.search))push.call(this,state,title,url)}})"
    "(history.pushState)"
)
_STYLE: Final = """
.stMainBlockContainer{padding-left:clamp(1rem,4vw,4rem)!important;padding-right:clamp(1rem,4vw,4rem)!important;max-width:1600px}
.st-key-heading [data-testid=stText]{font-size:1.6rem;font-weight:650;line-height:1.25}
.st-key-meaning [data-testid=stText],.st-key-result [data-testid=stText]{line-height:1.55}
.st-key-banner{background:#a4161a;border-color:#a4161a!important}
.st-key-banner [data-testid=stText],.st-key-banner [data-testid=stText] *{
color:#fff!important;font-weight:600;line-height:1.5;white-space:pre-wrap}
.stMainBlockContainer h1{padding:.25rem 0 .5rem!important}
[data-testid=stPageLink] a{padding-left:0}
@media (max-width:1000px){
:is(.st-key-sides,.st-key-figures,.st-key-levels)>*>[data-testid=stHorizontalBlock]{flex-wrap:wrap}
.st-key-sides>*>[data-testid=stHorizontalBlock]>[data-testid=stColumn]{flex:1 1 100%;min-width:100%}
.st-key-figures>*>[data-testid=stHorizontalBlock]>[data-testid=stColumn]{flex:1 1 40%;min-width:40%}
.st-key-levels>*>[data-testid=stHorizontalBlock]>[data-testid=stColumn]{flex:1 1 30%;min-width:30%}
}
"""
_CUT: Final = (
    re.compile(r'<link\s+rel="(?:service-desc|preload)"[^>]*>'),
    re.compile(r"<noscript>.*?</noscript>", re.DOTALL),
)
_NOSCRIPT: Final = "<noscript><p>The dashboard needs JavaScript.</p></noscript>"
_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@cache
def page() -> str:
    """Return the document."""
    import streamlit

    document = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    for pattern in _CUT:
        document = pattern.sub("", document)
    document = re.sub(r"<title>.*?</title>", "<title>Backwatch</title>", document)
    document = document.replace('href="./favicon.png"', f'href="data:image/png;base64,{_icon()}"')
    document = document.replace("</head>", f"<script>{_WHERE}{_ONE_ENTRY}</script><style>{_STYLE}</style></head>", 1)
    return document.replace("<body>", f"<body>{_NOSCRIPT}", 1)


def script_hashes() -> tuple[str, ...]:
    """Return the hashes of the inline scripts, in the form of a content security policy."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page()))
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _icon() -> str:
    return base64.b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()
