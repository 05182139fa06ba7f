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
    assert download(web.url, tmp_path).read_bytes() == web.body


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
    assert all(name_of(row.download.url) == row.download.name for row in zoo.ROWS if row.download)
