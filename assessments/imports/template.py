"""What stands in the template: two worked rows for each kind, and the notes beside them."""

# ruff: noqa: E501 (a row of the table reads best as one line)

from django.utils.translation import gettext_lazy

# (kind, difficulty, Chinese, English, answers as pairs, the right ones, what else)
WORKED_ROWS = [
    ("单选题", "易", "客户进门后，先做什么？", "A customer walks in. What comes first?",
     [("继续整理柜台", "Go on tidying the counter"), ("抬头微笑，先问候", "Look up, smile and greet"), ("递上宣传单", "Hand over a leaflet")], "B",
     {"feedback_zh": "先看见人，再谈事情。", "feedback_en": "See the person before the matter.", "tags": "问候"}),
    ("单选题", "中", "客户说“太贵了”，最好先怎么回应？", "“That’s too expensive.” What is the best first reply?",
     [("马上打折", "Offer a discount at once"), ("问他和什么相比", "Ask what they compare it with")], "B", {}),
    ("多选题", "中", "哪些做法能让客户觉得被尊重？", "Which of these show respect to a customer?",
     [("用姓氏称呼", "Use the surname"), ("边看手机边听", "Listen while reading the phone"), ("不打断对方", "Do not interrupt")], "A,C", {}),
    ("多选题", "难", "下列哪些属于客户利益？", "Which of these are benefits to the customer?",
     [("每月少付十元", "Ten yuan less a month"), ("芯片更先进", "A newer chip"), ("全家共用流量", "Data shared by the family")], "AC", {"tags": "六步销售, 利益"}),
    ("判断题", "易", "电话响三声内应当接起。", "A telephone should be answered within three rings.", [], "对", {}),
    ("判断题", "中", "谈判时先亮出底价更容易成交。", "Showing your lowest price first makes a deal easier.", [], "错", {}),
    ("数字题", "易", "月费 39 元，超出 5 GB，每 GB 5 元，一共多少元？", "39 yuan a month plus 5 GB over at 5 yuan each: how much in all?",
     [], "64", {"tolerance": "0", "unit_zh": "元", "unit_en": "yuan"}),
    ("数字题", "中", "200 人里有 133 人续约，续约率约为百分之几？", "133 of 200 customers renewed. About what percentage is that?",
     [], "66.5", {"tolerance": "0.5", "unit_zh": "%", "unit_en": "%"}),
    ("填空题", "易", "我们对客户说的第一个词是什么？", "What is the first word we say to a customer?",
     [("您好", "hello"), ("你好", "good morning")], "", {}),
    ("填空题", "中", "“先倾听，后____”，填两个字。", "“First listen, then ____”: one word.", [("建议", "advise"), ("推荐", "recommend")], "", {}),
    ("配对题", "中", "把做法和目的配对。", "Match what we do with why we do it.",
     [("倾听 = 弄清需求", "Listening = learning the need"), ("复述 = 确认没有误会", "Repeating = making sure nothing is misunderstood")], "", {}),
    ("配对题", "难", "把客户的话和合适的回应配对。", "Match the customer’s words with a fitting reply.",
     [("太贵了 = 您是和哪一款比？", "Too expensive = What do you compare it with?"), ("我再想想 = 您主要担心哪一点？", "Let me think = What worries you most?"),
      ("等很久了 = 让您久等了，我马上办", "I have waited long = Sorry to keep you, I’ll do it now")], "", {}),
    ("排序题", "易", "按先后排列接待步骤。", "Put the steps of a reception in order.",
     [("问候", "Greet"), ("了解需求", "Learn the need"), ("介绍方案", "Present the offer"), ("送别", "Say goodbye")], "", {}),
    ("排序题", "中", "按先后排列处理投诉的步骤。", "Put the steps of handling a complaint in order.",
     [("倾听", "Listen"), ("道歉", "Apologise"), ("解决", "Solve"), ("回访", "Call back")], "", {}),
]  # fmt: skip

TEMPLATE_NOTES = [
    gettext_lazy("One row is one question. Columns may stand in any order; a column you do not need may be left out."),
    gettext_lazy(
        "The rows whose number starts with EXAMPLE- show how it is done and are left out when you upload the file."
    ),
    gettext_lazy(
        "Number: the question’s own number, for example ETQ-01-001. A number that is already in the bank changes that question."
    ),
    gettext_lazy("Category: its short name or its name; it has to exist in the bank."),
    gettext_lazy(
        "Kind: single, multiple, true_false, numerical, short_text, matching or ordering; in Chinese 单选题, 多选题, 判断题, 数字题, 填空题, 配对题, 排序题."
    ),
    gettext_lazy("Difficulty: easy, medium or hard; in Chinese 易, 中, 难. Left empty it is medium."),
    gettext_lazy(
        "Single and multiple choice: the answers stand in A to J, and Answer holds the letters of the right ones, for example B or A,C."
    ),
    gettext_lazy("True or false: Answer holds true or false, 对 or 错."),
    gettext_lazy(
        "A number: Answer holds the number, Tolerance how far off is still right, Unit what stands behind the field."
    ),
    gettext_lazy(
        "A short text: A to J hold every text that is accepted. Capital letters, width and spaces do not matter."
    ),
    gettext_lazy(
        "Matching: each of A to J holds a pair with = between its two sides. Ordering: A to J hold the items in the right order."
    ),
    gettext_lazy("The explanation is shown after the quiz: say why, not only what. Tags are separated by commas."),
]
