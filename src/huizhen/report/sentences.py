"""What a report says: every fixed word and sentence, once, in English and in Chinese, by section."""

from __future__ import annotations

__all__ = ["SENTENCES"]

SENTENCES: dict[str, tuple[str, str]] = {
    # The frame
    "brand": ("Huizhen 会诊", "会诊 Huizhen"),
    "brand_line": ("a joint consultation of hospitals", "多家医院的联合会诊"),
    "skip": ("Skip to the results", "跳到结果"),
    "question": ("The question", "研究问题"),
    "answer": ("In short", "结论概要"),
    "participants": ("Who took part", "参与医院"),
    "analyses": ("What was found", "研究结果"),
    "disclosure": ("What left the hospitals", "离开医院的信息"),
    "record": ("How to check this report", "如何核验本报告"),
    "notes": ("Notes", "说明"),
    "printed": ("Made by Huizhen {version} on {day}.", "由会诊 Huizhen {version} 于 {day} 生成。"),
    # The short answer
    "short_who": (
        "{sites} hospitals with {rows} patients answered together; no answer held a patient's row.",
        "{sites} 家医院（共 {rows} 名患者）共同给出答案；任何答案都不含患者的数据行。",
    ),
    "short_who_one": (
        "One hospital with {rows} patients answered; no answer held a patient's row.",
        "1 家医院（{rows} 名患者）给出答案；任何答案都不含患者的数据行。",
    ),
    "short_pooled": (
        "The federation's numbers{of} equal those of the pooled rows to {difference} (largest relative difference).",
        "联合计算的数值{of}与合并数据的结果一致，最大相对差异为 {difference}。",
    ),
    "short_pooled_exact": (
        "The federation's numbers{of} equal those of the pooled rows exactly.",
        "联合计算的数值{of}与合并数据的结果完全相同。",
    ),
    "short_reference": (
        "{name}, run on the pooled rows, agrees to {difference}.",
        "在合并数据上运行的 {name} 与之一致，差异为 {difference}。",
    ),
    "short_not_pooled": (
        "There are no pooled rows here to compare with, as is usual when hospitals keep their rows.",
        "此处没有合并数据可供比较：医院各自保留数据时通常如此。",
    ),
    "short_left_out": (
        "{count} of the sites took no part; they are named below with the reason.",
        "有 {count} 家未参与，下文逐一说明原因。",
    ),
    "short_away": (
        "{count} of the sites missed some rounds, which went on without them; they are named below with the reason.",
        "有 {count} 家缺席部分轮次，这些轮次照常进行；下文逐一说明原因。",
    ),
    "short_failed": (
        "{count} of {all} analyses have no answer; the reason stands with each.",
        "{all} 项分析中有 {count} 项没有答案，原因见各项。",
    ),
    "short_learned": (
        "{label}: on the same patients of all hospitals, which no model had seen, the joint model reaches {measure} {federation}, "
        "the hospitals' own models {alone}, and a model of the pooled rows {pooled}.",
        "{label}：在各模型均未见过的全部医院的同一批患者上，联合模型的{measure}为 {federation}，各医院自己的模型为 {alone}，"
        "合并数据的模型为 {pooled}。",
    ),
    "short_learned_only": (
        "{label}: on patients that it had not seen, the joint model reaches {measure} {federation}.",
        "{label}：在未见过的患者上，联合模型的{measure}为 {federation}。",
    ),
    "stat_sites": ("hospitals", "家医院"),
    "stat_rows": ("patients", "名患者"),
    "stat_difference": ("largest difference from the pooled rows", "与合并数据的最大差异"),
    "stat_bytes": ("left the hospitals, and no patient's row", "离开医院的数据量，其中没有任何一行患者数据"),
    "exact": ("none", "无差异"),
    "glance": ("At a glance", "要点"),
    "glance_more": ("and {count} more", "另有 {count} 项"),
    # Participants
    "cohort": ("Patients included", "纳入条件"),
    "cohort_all": ("All patients that the sites offered.", "各医院提供的全部患者。"),
    "rows_offered": ("Patients by hospital", "各医院患者数"),
    "left_out": ("Left out, and why", "未参与及原因"),
    "rounds_without": ("{count} rounds without it", "缺席 {count} 轮"),
    "left_out_none": ("No hospital was left out.", "没有医院被排除。"),
    "whole_study": ("the whole study", "整个研究"),
    "site": ("Hospital", "医院"),
    "from_what": ("From", "范围"),
    "reason": ("Reason", "原因"),
    "rows": ("patients", "名患者"),
    "rows_head": ("Patients", "患者数"),
    # Analyses
    "federation": ("Federation", "联邦"),
    "pooled": ("Pooled rows", "合并数据"),
    "reference": ("Reference", "参考软件"),
    "difference": ("Difference", "差异"),
    "difference_help": (
        "Difference: the largest relative difference in the row between the federation and the pooled rows.",
        "差异：该行中联邦结果与合并数据结果的最大相对差异。",
    ),
    "difference_reference_help": (
        "Difference: the largest relative difference in the row between the federation and the reference.",
        "差异：该行中联邦结果与参考软件结果的最大相对差异。",
    ),
    "every_column": ("Every column: {caption}", "全部列：{caption}"),
    "facts": ("Statistics", "统计量"),
    "fact": ("Statistic", "统计量"),
    "sites_alone": ("Every hospital alone", "每家医院单独计算"),
    "sites_alone_caption": (
        "What each hospital would have found by itself{what}",
        "每家医院单独计算所得结果{what}",
    ),
    "sites_alone_own": (
        ": {what}, each model on its own hospital's patients only; on the same patients see above",
        "：{what}，各模型仅用本医院的患者评价；在同一批患者上的比较见上文",
    ),
    "sites_alone_what": (": {what}", "：{what}"),
    "sites_alone_error": (": {what} (standard error)", "：{what}（标准误）"),
    "cannot_estimate": ("Could not be estimated alone", "无法单独估计"),
    "failed": ("No answer", "没有答案"),
    "failed_why": ("This analysis has no answer: {reason}", "该分析没有答案：{reason}"),
    "withheld": ("withheld", "不予公布"),
    "withheld_help": ("withheld by a hospital's policy", "按医院的披露策略不予公布"),
    "not_given": ("not estimable or not given", "无法估计或未给出"),
    "withheld_title": ("Withheld from publication", "不予公布的内容"),
    "total": ("Total", "合计"),
    "of_row": ("Share of the row in small print.", "小字为行百分比。"),
    "value": ("Value", "值"),
    "rounds": ("{count} rounds", "{count} 轮"),
    "rounds_one": ("1 round", "1 轮"),
    "patients_behind": ("{count} patients", "{count} 名患者"),
    "hospitals_behind": ("{count} hospitals", "{count} 家医院"),
    "equal_to": ("equal to {difference}", "一致，差异 {difference}"),
    "equal_exactly": ("equal exactly", "完全相同"),
    "cells_same": (
        "All {count} published counts equal those of the pooled rows.",
        "所公布的全部 {count} 个计数与合并数据一致。",
    ),
    "cells_differ": (
        "{differ} of {count} published counts differ from those of the pooled rows.",
        "所公布的 {count} 个计数中有 {differ} 个与合并数据不同。",
    ),
    "interval": ("{percent} % CI", "{percent}% 置信区间"),
    "between": ("Between", "介于"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "table_one_caption": ("Table 1. The patients by group", "表1. 各组患者特征"),
    "characteristic": ("Characteristic", "特征"),
    "overall": ("Overall", "总体"),
    "mean_sd": ("{name}, mean (SD)", "{name}，均值（标准差）"),
    "median_iqr": ("{name}, median [IQR]", "{name}，中位数 [四分位距]"),
    "n_percent": ("{name}, n (%)", "{name}，例数（%）"),
    # Plots
    "plot_forest": ("Estimates with their confidence intervals", "估计值及其置信区间"),
    "plot_forest_text": (
        "{measure} by term. Filled mark and line: federation. Ring: pooled rows. Small marks: each hospital alone.",
        "各项的{measure}。实心标记与线段：联邦；圆环：合并数据；小标记：各医院单独计算。",
    ),
    "plot_forest_text_short": ("{measure} by term, from the federation.", "联合计算得到的各项{measure}。"),
    "plot_survival": ("Kaplan-Meier curves", "Kaplan-Meier 生存曲线"),
    "plot_survival_text": (
        "Survival over {time} with confidence bands; the numbers at risk stand below.",
        "生存率随{time}的变化及其置信带；下方为风险人数。",
    ),
    "plot_survival_pooled": ("The dotted line is the curve of the pooled rows.", "点线为合并数据的曲线。"),
    "plot_counts": ("Numbers of patients", "患者数"),
    "plot_counts_text": ("Published numbers of patients; withheld cells are marked.", "已公布的患者数；不予公布的单元格已标明。"),
    "plot_correlation": ("Correlations", "相关系数"),
    "plot_correlation_text": (
        "Correlation of each pair of variables, from -1 to 1.",
        "每对变量的相关系数，取值 -1 至 1。",
    ),
    "plot_left": ("Bytes that left each hospital, by kind", "离开各医院的字节数（按类别）"),
    "plot_left_text": (
        "One bar for each hospital; the parts are the kinds of what left it.",
        "每家医院一个条形，各段为离开该医院的信息类别。",
    ),
    "plot_curves": ("Telling patients apart, and risks that come true", "区分度与校准"),
    "plot_curves_text": (
        "On patients that no model had seen. Left: solid, the federation; dotted, the pooled rows; grey, each hospital alone. "
        "Right: the share that came true over the predicted risk, by tenth of risk; on the diagonal risks are right.",
        "所用患者为各模型均未见过。左：实线为联邦，点线为合并数据，灰线为各医院单独。"
        "右：按预测风险十等分，各组实际发生的比例及其区间；位于对角线上表示预测风险准确。",
    ),
    "plot_curves_short": (
        "Left: the joint model's sensitivity over its false positive rate. Right: the share that came true over the predicted "
        "risk, by tenth of risk, with intervals; on the diagonal risks are right.",
        "左：联合模型的灵敏度与假阳性率。右：按预测风险十等分，各组实际发生的比例及其区间；位于对角线上表示预测风险准确。",
    ),
    "plot_curves_points": (
        "The line joins points that tell of enough patients, and the area below it is {area}; the AUC in the picture is from all "
        "scores.",
        "折线只连接患者数足够的点，线下面积为 {area}；图中的 AUC 由全部评分算得。",
    ),
    "plot_curves_labels": (
        "Left: the joint model's sensitivity over its false positive rate, by label. Right: the share that came true over the "
        "predicted risk; on the diagonal risks are right.",
        "左：联合模型在各标签上的灵敏度与假阳性率。右：预测风险与实际发生的比例；位于对角线上表示预测风险准确。",
    ),
    "plot_curves_first": (
        "The first {drawn} of {labels} labels; all stand in the table. Left: the joint model's sensitivity over its false positive "
        "rate. Right: the share that came true over the predicted risk; on the diagonal risks are right.",
        "{labels} 个标签中的前 {drawn} 个，全部见表。"
        "左：联合模型的灵敏度与假阳性率。右：预测风险与实际发生的比例；位于对角线上表示预测风险准确。",
    ),
    "plot_roc": ("ROC curve", "ROC 曲线"),
    "plot_calibration": ("Calibration", "校准"),
    "plot_learning": ("The course of learning", "学习过程"),
    "plot_learning_text": (
        "Joint numbers after each {step}; a ring marks the model that was kept, where it is not the last.",
        "每{step}之后的联合数值；若所保留的模型不是最后一个，则以圆环标出。",
    ),
    "plot_importance": ("What the model looks at", "变量重要性"),
    "plot_importance_text": (
        "Each variable's share of the {measure}, over all sites.",
        "各变量在{measure}中所占的比例（所有医院合计）。",
    ),
    "axis_false_positive": ("false positive rate", "假阳性率"),
    "axis_sensitivity": ("sensitivity", "灵敏度"),
    "axis_predicted": ("predicted risk", "预测风险"),
    "axis_observed": ("observed share", "实际比例"),
    "slope": ("slope", "斜率"),
    "alone_short": ("Alone", "单独"),
    "model": ("Model of", "模型"),
    "model_alone": ("{site} alone", "{site} 单独"),
    "quality_all": (
        "Every model on the same patients: all hospitals' that no model had seen",
        "各模型在同一批患者上的表现：来自全部医院，且各模型均未见过",
    ),
    "quality_all_of": (
        "Every model on the same {count} patients: all hospitals' that no model had seen",
        "各模型在同一批 {count} 名患者上的表现：来自全部医院，且各模型均未见过",
    ),
    "unjudged": ("{model} was not judged on the patients of {rows}: {reason}", "{model} 未能在{rows}的患者上评价：{reason}"),
    "all_together": ("all hospitals together", "全部医院"),
    "quality_help": ("{percent} % confidence intervals in small print.", "小字为 {percent}% 置信区间。"),
    "quality_more": (
        "{count} more hospitals are in the table that Python gives.",
        "另有 {count} 家医院，见 Python 中的表格。",
    ),
    "quality_by_site": (
        "{measure} of every model, a column for each hospital's own patients that no model had seen",
        "各模型的{measure}，每列为一家医院中各模型均未见过的患者",
    ),
    "not_given_or_withheld": ("not estimable, or withheld", "无法估计，或不予公布"),
    "axis_at_risk": ("At risk", "风险人数"),
    "axis_survival": ("Survival", "生存率"),
    "axis_log_rank": ("log-rank p {p}", "log-rank p {p}"),
    "in_errors": ("estimate in units of its standard error", "以标准误为单位的估计值"),
    # Disclosure
    "disclosure_text": (
        "{bytes} in {numbers} numbers left the hospitals. What may only ever be added to the answers of the others is an addend.",
        "共有 {numbers} 个数值（{bytes}）离开医院。其中只会与其他医院的答案相加的，称为加数。",
    ),
    "individual_none": (
        "Nothing left a hospital as an individual release.",
        "没有任何内容以单独释出的方式离开医院。",
    ),
    "individual_some": (
        "{numbers} numbers left as individual releases: they can be read by themselves.",
        "有 {numbers} 个数值以单独释出的方式离开医院，可被单独读取。",
    ),
    "left_caption": ("What left each hospital", "离开各医院的信息"),
    "left_detail": ("Part by part", "逐项明细"),
    "kind": ("Kind", "类别"),
    "kind.addend": ("addends", "加数"),
    "kind.counts": ("addends that are counts", "计数类加数"),
    "kind.individual": ("individual releases", "单独释出"),
    "kind.masked": ("masked numbers, keys and shares", "掩码数值、密钥与份额"),
    "times": ("Times", "次数"),
    "bytes": ("Bytes", "字节"),
    "numbers": ("Numbers", "数值个数"),
    "what": ("What", "内容"),
    "analysis": ("Analysis", "分析"),
    "refusals": ("Refused, withheld or changed", "被拒绝、不予公布或经更改的内容"),
    "refusals_none": ("No policy refused or withheld anything.", "各项策略均未拒绝或扣下任何内容。"),
    "by_whom": ("By", "决定方"),
    "joint_policy": ("joint publication", "联合公布"),
    "policies": ("The hospitals' disclosure policies", "各医院的披露策略"),
    "clause": ("Clause", "条款"),
    # The record
    "record_text": (
        "Every release is an entry in the ledger of the hospital that made it: signed, and chained to the one before. "
        "Each hospital can compare the newest entry named here with its own ledger:",
        "每次释出都作为一条签名记录写入该医院的账本，并与前一条相链接。各医院可用此处列出的最新记录核对自己的账本：",
    ),
    "ledgers": ("Newest entry of every ledger", "各账本的最新记录"),
    "entries": ("Entries", "记录数"),
    "head": ("Newest entry", "最新记录"),
    "public_key": ("Public key", "公钥"),
    "run_facts": ("This run", "本次运行"),
    "digest": ("Digest of the study", "研究方案摘要值"),
    "run": ("Run", "运行编号"),
    "started": ("Started", "开始时间"),
    "took": ("Time taken", "用时"),
    "engine": ("Engine", "引擎"),
    "lane": ("Lane", "通道"),
    "version": ("Version", "版本"),
    "lane.embedded": (
        "embedded: one process; the policies judged totals",
        "嵌入式：单一进程；披露策略审查的是总和",
    ),
    "lane.plain": (
        "plain: every hospital's policy judged each of its addends; the hub sees them",
        "明文：各医院的策略逐项审查其加数；中心可见",
    ),
    "lane.masked": (
        "masked: the hub sees totals only, checked by counts asked first",
        "掩码：中心只能看到总和，并先以计数核查",
    ),
    "seconds": ("{count} s", "{count} 秒"),
    "minutes": ("{minutes} min {seconds} s", "{minutes} 分 {seconds} 秒"),
    # The terminal
    "captioned": ("{caption}: {column}", "{caption}：{column}"),
    "term_more_sites": ("{count} more hospitals in the report", "报告中另有 {count} 家医院"),
    "term_more_columns": ("{count} more columns in the report", "报告中另有 {count} 列"),
    "term_more_rows": ("{count} more rows in the report", "报告中另有 {count} 行"),
}
