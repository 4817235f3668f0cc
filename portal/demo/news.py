"""News and notices of the demo company, in both languages, dated back from today."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from core.periods import Month
from portal.demo import company as story


@dataclass(frozen=True)
class Piece:
    slug: str
    on: dt.date
    key: uuid.UUID
    words: dict[str, dict[str, str]]


def pieces(today: dt.date) -> list[Piece]:
    """The news, the newest last."""
    return [
        Piece(
            slug=slug,
            on=today - dt.timedelta(days=days),
            key=uuid.uuid5(uuid.NAMESPACE_URL, f"https://huaxintong.example/news/{slug}"),
            words=words,
        )
        for slug, days, words in _PIECES
    ]


_PIECES = (
    (
        "half-a-million-minutes",
        96,
        {
            "zh-hans": {
                "title": "从“学完了”到“用上了”：春熙路网点的晨会十分钟",
                "summary": "春熙路网点把每月一课搬进晨会：一个人讲案例，一个人演客户，其他人只说一句“下次我会怎么做”。",
                "body": (
                    "<p>春熙路网点有二十个人，连续数月全员按时完成。值班经理说，窍门不是催，而是<b>把课拆小</b>。</p>"
                    "<h2>十分钟怎么分</h2><ul><li>前三分钟：一位同事用自己的话讲当月的一个案例。</li>"
                    "<li>中间五分钟：两人演一遍，客户由最会挑刺的人来演。</li>"
                    "<li>最后两分钟：每人说一句“今天我会试哪一句”。</li></ul>"
                    "<p>第二天晨会先问：昨天那一句用上了吗？没用上也没关系，说说为什么。</p>"
                ),
            },
            "en": {
                "title": "From “finished” to “used”: ten minutes every morning at Chunxi Road",
                "summary": (
                    "The Chunxi Road branch takes the monthly course into its morning meeting: one tells a case, one plays "
                    "the customer, the others say what they would do."
                ),
                "body": (
                    "<p>Twenty people work at Chunxi Road, and for months all of them have finished in time. The trick, says the "
                    "shift supervisor, is not to chase people but to <b>cut the course small</b>.</p>"
                    "<h2>How the ten minutes are spent</h2><ul><li>Three minutes: a colleague tells one case of the month in "
                    "their own words.</li><li>Five minutes: two people act it out; the pickiest colleague plays the customer.</li>"
                    "<li>Two minutes: everyone names the one sentence they will try today.</li></ul>"
                    "<p>Next morning begins with a question: did you use it? If not, that is fine. Tell us why.</p>"
                ),
            },
        },
    ),
    (
        "reading-the-rate",
        38,
        {
            "zh-hans": {
                "title": "完成率怎么算？三分钟看懂",
                "summary": "应学人数、按时完成、补学完成、免修，各是什么意思，为什么99.96%不会显示成100%。",
                "body": (
                    "<p>每个单位的完成率都由一条条学习任务加起来，谁都可以点进去看到名单。</p>"
                    "<ul><li><b>应学</b>：当月有任务的人，不含免修和离职。</li>"
                    "<li><b>按时</b>：截止前学完；<b>补学</b>：截止后、接收期内学完。两个数并排放，谁也不遮住谁。</li>"
                    "<li><b>免修</b>：整个学习期都在休假的人，由系统按休假记录认定；其他情况由人力资源写明理由。</li>"
                    "<li><b>调动</b>：任务跟着人走，截止那天在哪个单位，就算在哪个单位。</li></ul>"
                    "<p>百分比只舍不入：三千人差一个，就是99.9%。100%的意思是<b>所有人</b>。</p>"
                ),
            },
            "en": {
                "title": "How the completion rate is counted, in three minutes",
                "summary": "What assigned, on time, late and exempt mean, and why 99.96 % is never shown as 100 %.",
                "body": (
                    "<p>The rate of every unit is a sum of single duties, and one tap leads from the number to the names.</p>"
                    "<ul><li><b>Assigned</b>: everyone with a duty this month, without those who are exempt or have left.</li>"
                    "<li><b>On time</b>: finished before the due day. <b>Late</b>: finished after it, while late work is accepted. "
                    "Both numbers stand side by side.</li>"
                    "<li><b>Exempt</b>: on leave for the whole window, taken from the leave records; anything else is decided by HR "
                    "with a reason.</li><li><b>Transfers</b>: the duty goes with the person and counts where the person works on the "
                    "due day.</li></ul><p>Shares are floored, never rounded up: one missing of three thousand is 99.9 %. "
                    "100 % means <b>everybody</b>.</p>"
                ),
            },
        },
    ),
    (
        "practice-logs",
        6,
        {
            "zh-hans": {
                "title": "每门课都配了练习记录表",
                "summary": "最后一课末尾可以下载一张表：学完后一周内，每条各用一次，记下情境和效果。",
                "body": (
                    "<p>测验只能说明“知道了”，能不能用上，要看柜台。每门课最后一课的末尾新增了一张<b>练习记录表</b>，"
                    "打印出来一页纸，放在手边就行。</p><p>不用交，也不计分。主管可以在晨会上翻一翻，问一句："
                    "“这一条你是怎么用的？”</p>"
                ),
            },
            "en": {
                "title": "Every course now comes with a practice log",
                "summary": "At the end of the last lesson there is a sheet: use each line once within a week and note what happened.",
                "body": (
                    "<p>A quiz shows that you know it; the counter shows whether you can use it. The last lesson of every course "
                    "now ends with a <b>practice log</b>: one page to print and keep at hand.</p>"
                    "<p>It is not handed in and not scored. Your manager may leaf through it in the morning meeting and ask: "
                    "“How did you use this one?”</p>"
                ),
            },
        },
    ),
)


def notices(month: Month) -> list[tuple[str, str, str, str, int]]:
    """(who, Chinese, English, address, days ago) of lines that are news to the cast."""
    name_zh, name_en = f"{month.year}年{month.month}月", f"{month.first_day:%B %Y}"
    return [
        (
            story.EMPLOYEE,
            f"{name_zh}的课程已开课，请于月底前完成。",
            f"The courses of {name_en} are open. Please finish by the end of the month.",
            "/my/",
            4,
        ),
        (
            story.EMPLOYEE,
            "上个月有一门课程还没有学完，本月底前仍可补学。",
            "One course of last month is still unfinished. You can catch up until the end of this month.",
            "/my/",
            1,
        ),
        (
            story.MANAGER,
            f"您的团队{name_zh}还有人没有学完，点开看看是谁。",
            f"Some people of your team have not finished {name_en} yet. See who they are.",
            "/team/",
            1,
        ),
        (
            story.HR,
            f"{name_zh}已开课，学习任务已下发到全集团。",
            f"{name_en} is open; everyone in the plan has been enrolled.",
            "/hr/",
            3,
        ),
    ]
