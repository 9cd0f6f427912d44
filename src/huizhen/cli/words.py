"""Fixed words of the command line, in English and Chinese; a test holds both complete."""

from __future__ import annotations

import os
from typing import Literal

__all__ = ["WORDS", "Language", "colon", "language", "say"]

Language = Literal["en", "zh"]

WORDS: dict[str, tuple[str, str]] = {
    "found": ("found", "发现"),
    "expected": ("expected", "应为"),
    "remedy": ("what to do", "处理办法"),
    "study ok": ("{path} is a valid study: {title}", "{path} 是有效的研究方案：{title}"),
    "digest": ("digest", "摘要"),
    "methods": ("methods", "方法"),
    "variables": ("variables read", "读取的变量"),
    "study written": (
        "A commented study file is in {path}. Edit it, then: huizhen study check {path}",
        "带注释的研究方案已写入 {path}。修改后运行：huizhen study check {path}",
    ),
    "report written": ("Report", "报告"),
    "model written": ("Model of {label}", "{label} 的模型"),
    "doubts": ("For the sites' own eyes, and in no report:", "仅供站点自查，不写入报告："),
    "no answer": ("{label} has no answer: {reason}", "{label} 没有结果：{reason}"),
    "interrupted": (
        "Interrupted. The ledgers are whole{resume}.",
        "已中断。账本完整{resume}。",
    ),
    "resume": ("; run the same command again to go on from the last round", "；再次运行同一命令即可从上一轮继续"),
    "ledger ok": ("{path}: {entries} entries verify; head {head}", "{path}：{entries} 条记录全部通过验证；末条 {head}"),
    "ledger bad": ("{path}: {reason}", "{path}：{reason}"),
    "round": ("round {number}", "第 {number} 轮"),
    "sites": ("sites", "站点"),
    "rounds": ("rounds", "轮"),
    "without answer": ("no answer", "没有结果"),
    "reading": ("reading", "读取"),
    "models": ("models beside it", "个对照模型"),
    "judgements": ("judgements", "次评判"),
    "pooled rows": ("pooled rows", "合并数据"),
    "compared": ("compared with each site alone and the pooled rows", "已与各站点单独及合并数据比较"),
    "cut short": (
        "The comparison with each site alone and the pooled rows was cut short; run the same command again to go on with it.",
        "与各站点单独及合并数据的比较被中断；再次运行同一命令即可继续。",
    ),
    "writing model": ("Writing the model of {label} ...", "正在写入 {label} 的模型……"),
    "time left": ("{time} left", "剩约 {time}"),
    "lost": ("round {number} goes on without {site}: {reason}", "第 {number} 轮不含 {site}：{reason}"),
    "finishing": (
        "Ctrl-C: the run ends when this round is over. Press it again to end at once.",
        "Ctrl-C：本轮结束后停止运行；再按一次立即停止。",
    ),
    "demo next": (
        "Next, your own data: `huizhen study new study.toml`, then `huizhen run study.toml --site NAME=PATH --site NAME=PATH`.",
        "下一步，用自己的数据：`huizhen study new study.toml`，然后 `huizhen run study.toml --site 名称=路径 --site 名称=路径`。",
    ),
    "demo question": ("Question", "问题"),
    "demo data": ("Data", "数据"),
    "card of": ("Card of {name}", "{name} 的数据卡片"),
    "hub runs": (
        "The hub runs; sites reach it at {addresses}. Ctrl-C ends it.",
        "中心正在运行；站点通过 {addresses} 连接。按 Ctrl-C 结束。",
    ),
    "site runs": ("The agent of {name} runs. Ctrl-C ends it.", "{name} 的代理程序正在运行。按 Ctrl-C 结束。"),
    "submitted": (
        "Suggested to its sites: {id} (digest {digest}). Each decides for itself.",
        "已向各站点提出：{id}（摘要 {digest}）。各站点自行决定。",
    ),
    "watch it": ("Watch it: huizhen study watch {id} --dir {dir}", "观察进展：huizhen study watch {id} --dir {dir}"),
    "fetch it": ("Fetch the answer: huizhen study result {id} --dir {dir}", "取回结果：huizhen study result {id} --dir {dir}"),
    "study stands": ("{id}: {state}", "{id}：{state}"),
    "hub made": (
        "A hub is in {path}. Start it: huizhen hub run {path}",
        "中心已建于 {path}。启动：huizhen hub run {path}",
    ),
    "hub alone": (
        "It is reached from this machine alone. Say in {path} where sites dial (addresses) and where it listens (listen).",
        "目前只能从本机访问。请在 {path} 中写明站点连接的地址（addresses）与监听的网络接口（listen）。",
    ),
    "server written": (
        "The files of server {name} are in {path}. Start it there: nats-server -c nats.conf",
        "服务器 {name} 的文件已写入 {path}。在该服务器上启动：nats-server -c nats.conf",
    ),
    "hub elsewhere": (
        'The hub does not use these servers yet. Say in {path}: addresses = [{addresses}] and program = ""',
        '中心尚未使用这些服务器。请在 {path} 中写明：addresses = [{addresses}] 以及 program = ""',
    ),
    "invited": (
        "Hand this code to {name} over a channel you trust. It is good once, for {hours} hours:",
        "请通过可信渠道将此代码交给 {name}。一次有效，{hours} 小时内使用：",
    ),
    "admitted": (
        "{name} is admitted until {until}; fingerprint {fingerprint}",
        "已接纳 {name}，有效期至 {until}；指纹 {fingerprint}",
    ),
    "revoked": ("{name} is shut out; its keys never come back.", "已撤销 {name}；其密钥不再有效。"),
    "no server told": (
        "No server was reached; a running hub takes it up within a second, or its server when it next starts.",
        "未能连接服务器；运行中的中心将在一秒内处理，否则在服务器下次启动时生效。",
    ),
    "fingerprint": (
        "{name}, fingerprint: {fingerprint}\nRead it to the hub's operator, who must see the same before admitting you.",
        "{name}，指纹：{fingerprint}\n请读给中心的操作员；对方须看到相同的指纹才可接纳。",
    ),
    "join admitted": ("Admitted. The keys and the proof are in {path}.", "已被接纳。密钥与凭证在 {path} 中。"),
    "join pending": (
        "The hub has the request, and nobody decided yet. Give the same command again later.",
        "中心已收到请求，尚未有人决定。请稍后再次运行同一命令。",
    ),
    "join silent": (
        "The hub's server is there, but the hub does not answer. Give the same command again later.",
        "中心的服务器可以连接，但中心没有回应。请稍后再次运行同一命令。",
    ),
    "site written": (
        "A commented configuration is in {path}. Edit it, then: huizhen site check",
        "带注释的站点配置已写入 {path}。修改后运行：huizhen site check",
    ),
    "sync done": (
        "{alias}: {read} records read; {new} new, {changed} changed, {same} the same, {older} older, {removed} gone",
        "{alias}：读取 {read} 条记录；新增 {new}，更改 {changed}，未变 {same}，比已有版本旧 {older}，已移除 {removed}",
    ),
    "sync refused": ("left out ({count}): {reason}", "未收入（{count}）：{reason}"),
    "sync treated": ("de-identified ({count}): {what}", "去标识（{count}）：{what}"),
    "source treated": ("{alias}: de-identified ({count}): {what}", "{alias}：去标识（{count}）：{what}"),
    "sync doubtful": ("to look at ({count}): {reason}", "请留意（{count}）：{reason}"),
    "source": ("source", "数据源"),
    "kind": ("kind", "类型"),
    "events": ("events", "事件"),
    "synced": ("last sync", "上次同步"),
    "never": ("never", "从未"),
    "kind condition": ("diagnosis", "诊断"),
    "kind death": ("death", "死亡"),
    "kind device": ("device", "器械"),
    "kind drug": ("drug", "用药"),
    "kind image": ("image", "影像"),
    "kind measurement": ("measurement", "检验"),
    "kind procedure": ("procedure", "操作"),
    "kind report": ("report", "报告"),
    "kind value": ("value", "取值"),
    "kind visit": ("visit", "就诊"),
    "kind person": ("person", "人员"),
    "standin written": ("Stand-ins, nobody's data: {path}", "替身数据（不属于任何人）：{path}"),
    "years": ("years", "年份"),
    "with time": ("with time", "有时间"),
    "with code": ("with code", "有编码"),
    "with unit": ("with unit", "有单位"),
    "code": ("code", "编码"),
    "unit": ("unit", "单位"),
    "no unit": ("no unit", "无单位"),
    "other unit": (
        "{criterion}: {count} numbers are left out, as they are in {unit}",
        "{criterion}：有 {count} 个数值因单位为 {unit} 而未计入",
    ),
    "criteria ok": ("{path} is sound: {title}, {count} criteria", "{path} 无误：{title}，{count} 条标准"),
    "criterion": ("criterion", "标准"),
    "patients": ("patients", "患者"),
    "all sites": ("all sites", "所有站点"),
    "index event": ("index event: {kind}", "起点事件：{kind}"),
    "withheld": ("withheld", "不予公布"),
    "variable": ("variable", "变量"),
    "used": ("used", "已采用"),
    "filled": ("rows with a value", "有值的行"),
    "unsaid": ("{name}: left out ({count}): {reason}", "{name}：未采用（{count}）：{reason}"),
    "doubtful": ("{name}: to look at ({count}): {reason}", "{name}：请留意（{count}）：{reason}"),
    "rows written": ("{rows} rows are in {path}", "{rows} 行已写入 {path}"),
    "rule": ("rule", "规则"),
    "judged": ("judged", "已判定"),
    "broken": ("broken", "违反"),
    "unknown": ("no value", "无值"),
    "verdict": ("verdict", "结论"),
    "passed": ("passed", "通过"),
    "not passed": ("not passed", "未通过"),
    "complete rows": ("{complete} of {rows} rows miss nothing", "{rows} 行中有 {complete} 行无缺失"),
    "missing in": ("{name}: missing in {count} rows", "{name}：{count} 行缺失"),
    "missing together": ("missing together in {count} rows: {names}", "在 {count} 行中同时缺失：{names}"),
    "duplicates": (
        "{exact} rows equal an earlier one; {pairs} pairs of rows are alike; {left} rows stand in blocks too large to compare",
        "{exact} 行与前面的行完全相同；{pairs} 对行相似；{left} 行所在的分块过大，未比较",
    ),
    "site ok": ("The site in {path} is ready.", "{path} 中的站点已就绪。"),
    "inbox empty": ("No suggestion waits for a decision.", "没有等待决定的研究建议。"),
    "accepted": (
        "Accepted: {study}. This site runs exactly the proposal {digest}, and nothing else of that name.",
        "已接受：{study}。本站点只运行摘要为 {digest} 的提案本身，同名的其他内容一概不运行。",
    ),
    "declined": ("Declined: {study}.", "已谢绝：{study}。"),
    "withdrawn": ("Withdrawn: {study}. This site answers nothing in it any more.", "已撤回：{study}。本站点不再回答其中任何问题。"),
    "suggestion": ("suggestion", "研究建议"),
    "study": ("study", "研究"),
    "title": ("title", "标题"),
    "initiator": ("asked by", "提出者"),
    "question": ("question", "问题"),
    "here": ("here", "本站点"),
    "hub": ("at the hub", "中心"),
    "expires": ("expires", "过期时间"),
    "priority": ("priority", "优先级"),
    "state": ("state", "状态"),
    "reason": ("reason", "原因"),
    "proposal": ("proposal", "提案"),
    "run": ("run", "运行"),
    "result": ("result", "结果"),
    "lost in mid-run": ("lost in mid-run", "中途失去"),
    "no studies": ("No studies.", "没有研究。"),
    "key made": (
        "The key is in {path}. Keep a copy in a safe: without it no pseudonym can be made again; who has it can try identities.",
        "密钥已写入 {path}。请另存一份于保险处：没有它无法再生成相同的假名，持有它的人则可逐一试出身份。",
    ),
    "deidentified where": ("where", "位置"),
    "deidentified what": ("what", "处理"),
    "deidentified count": ("count", "数量"),
    "set aside": ("{count} x {reason}", "{count} 个：{reason}"),
    "anonymous": (
        "k = {after} (it was {before}), {distinct} different sensitive values at least, {rows} rows left out, loss {loss} of 1",
        "k = {after}（原为 {before}），敏感值至少 {distinct} 种，舍去 {rows} 行，信息损失 {loss}（最大 1）",
    ),
    "read and written": ("{read} read, {kept} kept.", "读取 {read}，保留 {kept}。"),
    "nothing written": ("Nothing was written.", "未写入任何内容。"),
    "deidentified": ("Written to {path}", "已写入 {path}"),
    "published": (
        "Card {number} is signed; the agent sends it to the hub while it runs.",
        "第 {number} 号卡片已签名；代理程序运行时将其发送至中心。",
    ),
    "card stands": (
        "Nothing has changed by enough patients: card {number} stands.",
        "变化的患者不够多：第 {number} 号卡片保持不变。",
    ),
    "unpublished": (
        "Taken back under number {number}; the agent tells the hub while it runs.",
        "已以第 {number} 号收回；代理程序运行时将通知中心。",
    ),
    "card signed": (
        "{name}, card {number} of {at}, signed by the key {by}",
        "{name}，第 {number} 号卡片（{at}），由密钥 {by} 签名",
    ),
    "card left out": ("Left out: {why}", "未采用：{why}"),
    "no card fits": ("No card fits, of {count} that are published.", "在已发布的 {count} 张卡片中没有符合的。"),
    "more cards": ("{count} more cards fit; ask for more to see fewer.", "还有 {count} 张卡片符合；请增加条件以缩小范围。"),
    "site": ("site", "站点"),
    "key": ("key", "密钥"),
    "modality": ("modality", "模态"),
    "modalities": ("modalities", "模态"),
    "about": ("about", "说明"),
    "why it matched": ("why it matched", "符合的理由"),
    "with a value": ("with a value", "有值"),
    "completeness": ("completeness", "完整性"),
    "validity": ("validity", "有效性"),
    "uniqueness": ("uniqueness", "唯一性"),
    "plausibility": ("plausibility", "合理性"),
    "usage": ("Error: {reason}", "错误：{reason}（可用 --help 查看说明）"),
}


def language(chosen: str = "") -> Language:
    """The language to speak: as chosen, else by HUIZHEN_LANG, else by the locale."""
    for hint in (chosen, os.environ.get("HUIZHEN_LANG", ""), os.environ.get("LC_ALL", ""), os.environ.get("LANG", "")):
        if hint:
            return "zh" if hint.lower().startswith("zh") else "en"
    return "en"


def colon(spoken: Language) -> str:
    """What stands between a word and what it introduces."""
    return ": " if spoken == "en" else "："


def say(key: str, spoken: Language, **values: object) -> str:
    """One fixed phrase in a language, with its values filled in."""
    return WORDS[key][0 if spoken == "en" else 1].format(**values)
