"""Only constant text may reach an element that renders Markdown: checked in the dashboard's source.

Streamlit renders Markdown in almost every element and argument. So only known harmless text is allowed: outside
``safe.py`` every text handed to Streamlit is a literal, or the result of a function of ``words.py`` whose results come
from a closed set.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import backwatch.dashboard.words

ROOT = Path(backwatch.dashboard.words.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "safe.py")

CLOSED = {"level", "state", "mark", "colour", "count", "ago", "format_moment"}
"""Functions of ``words.py`` that test_safe.py shows to be closed."""
LITERALS_BY_NAME = {("decide.py", "LABELS[kind]"), ("rule_sections.py", "TITLES[what]")}
"""Look-ups in a dictionary of literals of the same file."""
TEXT_ONLY = {"text", "code", "json", "dataframe", "data_editor"}
"""Show text as text; only ``safe.py`` calls them with anything but literals, since it alone cleans."""
NEVER = {
    "html", "table", "write", "write_stream", "iframe", "image", "graphviz_chart", "mermaid_chart", "echarts_chart",
    "vega_lite_chart", "LinkColumn", "ImageColumn", "MarkdownColumn", "mark_image", "exception", "help",
}  # fmt: skip
"""Not for us at all."""
STRUCTURE = {
    "fragment", "set_page_config", "Page", "navigation", "switch_page", "rerun", "altair_chart", "container", "columns",
    "form", "stop", "App", "TextColumn", "NumberColumn",
}  # fmt: skip
"""Show no text of their own, or only in arguments that are checked by name below."""
WITHOUT_TEXT = {
    "key", "on_click", "on_change", "args", "kwargs", "format_func", "bind", "query_params", "width", "height", "gap",
    "border", "column_config", "index", "max_chars", "persist_state", "color", "type", "anchor", "run_every",
    "selection_mode", "vertical_alignment", "horizontal", "disabled",
}  # fmt: skip
"""Arguments that are never drawn, or (``format_func``) drawn as plain text."""
OPTIONS = {"selectbox", "multiselect"}
"""Their options are drawn as plain text; their labels are not."""


def is_own_text(node: ast.expr, file: str) -> bool:
    """Return whether the text can only be the dashboard's own words."""
    match node:
        case ast.Constant():
            return True
        case ast.JoinedStr(values=values):
            return all(is_own_text(one.value if isinstance(one, ast.FormattedValue) else one, file) for one in values)
        case ast.IfExp(body=body, orelse=otherwise):
            return is_own_text(body, file) and is_own_text(otherwise, file)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="words"), attr=name)):
            return name in CLOSED
        case ast.Attribute(value=ast.Name(id="words"), attr=name) | ast.Name(id=name) if name.isupper():
            return True  # a constant of the dashboard; test below: none of them is computed from input
        case _:
            return (file, ast.unparse(node)) in LITERALS_BY_NAME


NO_ELEMENTS = {"safe", "words", "parts", "reads", "charts", "palette", "decisions", "queries", "one", "config", "click",
               "logger"}  # fmt: skip
"""Modules and rows that have functions or fields named as Streamlit's are."""


def is_no_element(receiver: ast.expr) -> bool:
    return isinstance(receiver, ast.Name) and receiver.id in NO_ELEMENTS


@cache
def streamlit_names() -> frozenset[str]:
    """Return every function and method by which Streamlit draws."""
    import streamlit
    from streamlit.delta_generator import DeltaGenerator

    readable = {"secrets", "session_state", "query_params", "context", "user"}
    kinds: tuple[Any, ...] = (streamlit, streamlit.column_config, DeltaGenerator)
    named = {(kind, name) for kind in kinds for name in dir(kind) if not name.startswith("_")}
    return frozenset(name for kind, name in named if name not in readable and callable(getattr(kind, name)))


def faults(source: str, file: str = "x.py") -> list[str]:
    """Return expressions in a source that could hand foreign text to a renderer."""
    tree, known, found = ast.parse(source), streamlit_names(), list[str]()
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        violation = (
            f"{file}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)[:100]}" if isinstance(node, ast.expr) else ""
        )
        match node:
            case ast.ImportFrom(module=module) if (module or "").startswith("streamlit") and module != "streamlit":
                found.append(f"{file}: from {module} import …")
            case ast.ImportFrom(module="streamlit", names=names) if [one.name for one in names] != ["config"]:
                found.append(f"{file}: from streamlit import …")
            case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id="st"), *_]):
                found.append(violation)
            case ast.Attribute(value=receiver, attr=name) if name in NEVER and not is_no_element(receiver):
                found.append(violation)
            case ast.Attribute(value=ast.Name(id="st"), attr=name) if name in known and id(node) not in called:
                found.append(violation)  # under another name the check would miss it
            case ast.keyword(arg="unsafe_allow_html"):
                found.append(f"{file}: {ast.unparse(node)}")
            case ast.Call(func=ast.Attribute(value=receiver, attr=name), args=args, keywords=keywords) if (
                name in known and not is_no_element(receiver)
            ):
                if name in STRUCTURE:
                    continue
                texts = args[:1] if name in OPTIONS else args[1:] if name == "page_link" else args
                texts = [*texts, *(one.value for one in keywords if one.arg not in WITHOUT_TEXT)]
                found += [f"{violation} <- {ast.unparse(one)[:60]}" for one in texts if not is_own_text(one, file)]
            case _:
                pass
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_constant_text_reaches_markdown(path: Path) -> None:
    assert faults(path.read_text(), path.name) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_capital_constants_are_not_computed_from_input(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id.isupper() and node.value is not None:
                    assert "reads." not in ast.unparse(node.value).replace("reads.MAX_RESULTS", "")
                    assert node.col_offset == 0, "a constant belongs to the module"


@pytest.mark.parametrize(
    "source",
    [
        "st.markdown(alert.title)", "st.write('x')", "st.error(str(error))", "st.caption(f'{alert.key}')",
        "column.metric(name, 1)", "column.metric('x', alert.key)", "st.badge(alert.level)", "st.toast(alert.title)",
        "st.tabs([alert.title])", "st.expander(alert.title)", "st.button(alert.title)", "st.table(frame)",
        "st.header(alert.title)", "st.subheader(alert.title)", "st.title(alert.title)", "st.warning(alert.title)",
        "st.info(alert.title)", "st.success(alert.title)", "st.button('x', help=alert.title)", "st.html('x')",
        "st.column_config.LinkColumn()", "st.column_config.ImageColumn()", "st.column_config.MarkdownColumn()",
        "st.text(alert.title)", "st.code(alert.title)", "st.dataframe(frame)", "st.selectbox(alert.title, options)",
        "st.page_link(page, label=alert.title)", "from streamlit import markdown", "getattr(st, 'markdown')(x)",
        "st.pills('x', reads.apps())", "st.caption(words.LEVEL_OF(alert))", "st.markdown('x' + alert.title)",
        "st.markdown('x', unsafe_allow_html=True)", "st.text_input('x', placeholder=alert.title)",
        "st.metric('x', 1, delta=alert.title)", "with st.status(alert.title): pass", "st.text_input(alert.title)",
        "st.markdown('{}'.format(alert.title))", "st.form_submit_button(alert.title)", "st.link_button('x', alert.url)",
        "alt.Chart(frame).mark_image()", "say = st.caption",
    ],
)  # fmt: skip
def test_check_finds_each_violation(source: str) -> None:
    assert faults(source) != []


@pytest.mark.parametrize(
    "source",
    ["st.caption('x')", "st.metric('x', words.count(n))", "st.caption(f'{words.count(n)} open' if n else 'none')",
     "st.selectbox('x', options)", "st.page_link(page, label='x')", "safe.text(alert.title)", "safe.table(rows)"],
)  # fmt: skip
def test_the_check_lets_our_own_words_through(source: str) -> None:
    assert faults(source) == []
