"""Downloads from a real (local) web server."""
from __future__ import annotations

import threading

import pytest

from ppim import zoo
from ppim.zoo.download import DownloadError, download, name_of
from tests.helpers import free_port


@pytest.mark.smoke
def test_a_file_arrives_whole_and_leaves_nothing_beside_it(web, tmp_path):
    path = download(web.url, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "file.bin" and path.read_bytes() == web.body
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_there_is_not_fetched(web, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"mine")
    assert download(web.url, tmp_path).read_bytes() == b"mine" and web.seen == []


def test_a_broken_connection_is_taken_up_where_it_broke(web, tmp_path):
    web.cuts = [70_000, 1]
    assert download(web.url, tmp_path).read_bytes() == web.body
    assert web.seen == [None, "bytes=70000-", "bytes=70001-"]


def test_the_next_call_goes_on_where_the_last_gave_up(web, tmp_path):
    web.cuts = [50_000, 0, 0]
    with pytest.raises(DownloadError, match="broke after 50000 of 200000 bytes"):
        download(web.url, tmp_path)
    assert not (tmp_path / "file.bin").exists() and (tmp_path / "file.bin.part").read_bytes() == web.body[:50_000]
    web.seen.clear()
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == ["bytes=50000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(web, tmp_path):
    web.cuts = [50_000, 0, 0]
    with pytest.raises(DownloadError):
        download(web.url, tmp_path)
    web.body, web.tag = web.body[::-1], '"v2"'
    web.seen.clear()
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == ["bytes=50000-"]


@pytest.mark.parametrize("tag", ["", 'W/"v1"'])
def test_without_a_sure_sign_of_the_version_nothing_is_added_to_a_beginning(tag, web, tmp_path):
    web.tag, web.cuts = tag, [50_000]
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == [None, None]


def test_a_server_that_knows_no_ranges_starts_over(web, tmp_path):
    web.ranges, web.cuts = False, [50_000]
    assert download(web.url, tmp_path).read_bytes() == web.body


def test_a_beginning_longer_than_the_file_is_dropped(web, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(web.body + b"more")
    (tmp_path / "file.bin.part.tag").write_text(web.tag)
    assert download(web.url, tmp_path).read_bytes() == web.body and len(web.seen) == 2


def test_another_rest_than_asked_for_is_not_appended(web, tmp_path):
    web.cuts, web.off_by = [50_000], 7
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == [None, "bytes=50000-", None]


def test_less_than_announced_is_no_file(web, tmp_path):
    web.length, web.ranges = len(web.body) + 5, False
    with pytest.raises(DownloadError, match=f"{len(web.body)} of {len(web.body) + 5} bytes"):
        download(web.url, tmp_path)
    assert not (tmp_path / "file.bin").exists()


def test_an_error_of_the_server_says_what_to_put_where(web, tmp_path):
    web.status = 404
    with pytest.raises(OSError) as error:
        download(web.url, tmp_path, "weights.pdparams")
    assert all(part in str(error.value) for part in (web.url, "404", "weights.pdparams", str(tmp_path)))
    assert len(web.seen) == 1


def test_an_unreachable_server_says_what_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}/weights.pdparams"
    with pytest.raises(OSError) as error:
        download(url, tmp_path)
    assert all(part in str(error.value) for part in (url, "weights.pdparams", str(tmp_path)))


def test_what_the_check_refuses_is_not_kept(web, tmp_path):
    def refuse(path):
        raise ValueError("not what was wanted")

    with pytest.raises(DownloadError, match="not what was wanted"):
        download(web.url, tmp_path, check=refuse)
    assert not (tmp_path / "file.bin").exists()
    web.seen.clear()
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == [None]


def test_of_several_that_want_a_file_one_fetches_it(web, tmp_path):
    web.delay, found = 0.3, []
    threads = [threading.Thread(target=lambda: found.append(download(web.url, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == web.body for path in found] == [True] * 3 and len(web.seen) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_the_storage_names_its_files_in_the_query():
    assert name_of(zoo.find("lvvit_s").download.url) == "lvvit_s_224.pdparams"
    assert name_of("https://a.b/c/d.pdparams?x=1") == "d.pdparams"
    assert name_of("https://a.b/c?responseContentDisposition=attachment;filename=../../e.pdparams") == "e.pdparams"
    assert all(name_of(row.download.url) == row.download.name for row in zoo.ROWS if row.download and row.as_ppim)


# ---- servers that are broken or worse ------------------------------------------------------------------------------


@pytest.mark.parametrize("rest_tag", ['"v2"', "", 'W/"v1"'])
def test_a_rest_of_another_version_is_not_appended_though_the_server_offers_it(rest_tag, web, tmp_path):
    web.cuts, web.rest_tag = [50_000], rest_tag
    assert download(web.url, tmp_path).read_bytes() == web.body and web.seen == [None, "bytes=50000-", None]


def test_a_rest_that_ends_short_of_the_whole_is_no_file(web, tmp_path):
    web.cuts, web.total = [50_000], len(web.body) + 7
    with pytest.raises(DownloadError, match="416"):  # asked for the last bytes, the server has none
        download(web.url, tmp_path)
    assert not (tmp_path / "file.bin").exists()


@pytest.mark.parametrize("said", ["*", "nonsense"])
def test_a_rest_whose_whole_is_not_told_is_counted_by_its_length_or_refused(said, web, tmp_path):
    web.cuts, web.total = [50_000], said
    assert download(web.url, tmp_path).read_bytes() == web.body
    assert web.seen == [None, "bytes=50000-", *([] if said == "*" else [None])]


def test_a_part_that_nobody_asked_for_is_no_file(web, tmp_path):
    web.unasked = True
    with pytest.raises(DownloadError, match="asked for bytes from 0, got 'bytes 0-199999/200000'"):
        download(web.url, tmp_path)


@pytest.mark.parametrize(("coding", "cut", "arrives"), [
    ("chunked", None, True), ("chunked", 70_000, False), ("none", None, False), ("none", 70_000, False)])
def test_a_body_of_unknown_length_is_taken_only_where_its_end_is_marked(coding, cut, arrives, web, tmp_path):
    web.coding, web.ranges, web.cuts = coding, False, [cut] * 3
    if coding == "chunked":
        web.RequestHandlerClass = type("Modern", (web.RequestHandlerClass,), {"protocol_version": "HTTP/1.1"})
    if arrives:
        assert download(web.url, tmp_path).read_bytes() == web.body
        return
    with pytest.raises(DownloadError, match="does not say how long" if coding == "none" else "IncompleteRead"):
        download(web.url, tmp_path)
    assert not (tmp_path / "file.bin").exists()


def test_a_body_of_unknown_length_is_taken_where_it_is_checked(web, tmp_path):
    web.coding = "none"
    assert download(web.url, tmp_path, check=lambda path: None).read_bytes() == web.body


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>moved</title>", b"\xef\xbb\xbf\n <HTML><body>login</body>"])
def test_a_web_page_is_no_file(page, web, tmp_path):
    web.body = page
    with pytest.raises(DownloadError, match="web page instead"):
        download(web.url, tmp_path)
    assert not (tmp_path / "file.bin").exists() and (tmp_path / "file.bin.part").read_bytes() == b""


def test_a_server_that_drips_is_left_after_a_while(web, tmp_path, monkeypatch):
    """A byte now and then restarts the socket's own clock for ever."""
    monkeypatch.setattr("ppim.zoo.download._PATIENCE", 0.2)
    web.drip = threading.Event()
    with pytest.raises(DownloadError, match=r"sent \d+ bytes in 0.2 seconds"):
        download(web.url, tmp_path)
    web.drip.set()
    assert len(web.seen) == 3 and web.seen[0] is None  # what has come is not asked for again
    assert 0 < (tmp_path / "file.bin.part").stat().st_size < 1000


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x.bin", "data:,x"])
def test_a_redirection_leads_to_the_web_alone(location, web, tmp_path):
    web.location = location
    with pytest.raises(DownloadError, match="redirected to ftp|Redirection to url"):
        download(web.url, tmp_path)
    assert len(web.seen) == 1 and not (tmp_path / "file.bin").exists()


def test_a_redirection_to_the_web_is_followed_but_not_in_circles(web, tmp_path):
    web.location = web.url
    with pytest.raises(DownloadError, match="infinite loop"):
        download(web.url, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.b/c", "/etc/passwd", "data:,x"])
def test_what_is_no_web_address_is_not_opened(url, tmp_path):
    with pytest.raises(ValueError, match="wanted an address that begins with http"):
        download(url, tmp_path)


@pytest.mark.parametrize("url", [
    "https://a.b", "https://a.b/", "https://a.b/..", "https://a.b/?x=1",
    "https://a.b/c?responseContentDisposition=attachment;filename=..",
    "https://a.b/c?responseContentDisposition=attachment;filename=%22%22",
    "https://a.b/c?responseContentDisposition=attachment;filename=x%00y"])
def test_an_address_that_names_no_file_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match="names no file"):
        download(url, tmp_path)
    assert list(tmp_path.iterdir()) == []
