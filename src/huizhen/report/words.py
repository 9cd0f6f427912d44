"""Every fixed word of a report, once, in English and in Chinese.

A key has both languages; what a study or a site says in its own words is shown as it stands, and what a method or a policy says is
translated. Names of facts and columns that methods use often have a readable label under ``name.*``; an unknown name is shown with
its underscores as spaces.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from huizhen.translation import translate

__all__ = ["WORDS", "Language", "Phrase", "as_is", "label", "level_name", "name_of", "say", "told"]

Language = Literal["en", "zh"]


class Phrase(NamedTuple):
    """One thing said in both languages."""

    en: str
    zh: str

    def within(self, language: Language) -> str:
        """The phrase in one language."""
        return self.zh if language == "zh" else self.en


def as_is(text: str) -> Phrase:
    """Words that are not ours to translate: a title, a label, a site's name."""
    return Phrase(text, text)


def told(text: str) -> Phrase:
    """What another room says in English: a reason, a note, a caption."""
    return Phrase(text, translate(text, "zh"))


def level_name(text: str) -> Phrase:
    """The name of a level or a group: as it stands, unless publication put ``(withheld 1)`` in its place."""
    return told(text) if text.startswith("(withheld ") else as_is(text)


def name_of(what: str) -> Phrase:
    """What a policy withholds: the name of a fact or a table, or words such as ``cells of stage``."""
    return label(what) if f"name.{what}" in WORDS else told(what)


def say(key: str, /, **fill: object) -> Phrase:
    """The words under a key, with ``{name}`` places filled; a `Phrase` is filled in its language.

    Raises:
        KeyError: no such key, or a place is not filled.
    """

    def spoken(pattern: str, language: Language) -> str:
        return pattern.format_map({k: v.within(language) if isinstance(v, Phrase) else v for k, v in fill.items()})

    english, chinese = WORDS[key]
    return Phrase(spoken(english, "en"), spoken(chinese, "zh"))


def label(name: str) -> Phrase:
    """A readable label for the name of a fact, a column or a method."""
    return Phrase(*WORDS[f"name.{name}"]) if f"name.{name}" in WORDS else as_is(name.replace("_", " "))


WORDS: dict[str, tuple[str, str]] = {
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
        "{sites} 家医院、{rows} 名患者共同给出答案；任何答案都不含患者的数据行。",
    ),
    "short_who_one": (
        "One hospital with {rows} patients answered; no answer held a patient's row.",
        "1 家医院、{rows} 名患者给出答案；任何答案都不含患者的数据行。",
    ),
    "short_pooled": (
        "The federation's numbers equal those of the pooled rows to {difference} (largest relative difference).",
        "联合计算的数值与合并数据的结果一致，最大相对差异为 {difference}。",
    ),
    "short_pooled_exact": (
        "The federation's numbers equal those of the pooled rows exactly.",
        "联合计算的数值与合并数据的结果完全相同。",
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
    "short_failed": (
        "{count} of {all} analyses have no answer; the reason stands with each.",
        "{all} 项分析中有 {count} 项没有答案，原因见各项。",
    ),
    "short_learned": (
        "{label}: on patients that no model had seen, the joint model reaches {measure} {federation}, the hospitals alone {alone}, "
        "and a model of the pooled rows {pooled}.",
        "{label}：在各模型均未见过的患者上，联合模型的{measure}为 {federation}，各医院单独为 {alone}，合并数据的模型为 {pooled}。",
    ),
    "short_learned_only": (
        "{label}: on patients that it had not seen, the joint model reaches {measure} {federation}.",
        "{label}：在未见过的患者上，联合模型的{measure}为 {federation}。",
    ),
    "stat_sites": ("hospitals", "家医院"),
    "stat_rows": ("patients", "名患者"),
    "stat_difference": ("largest difference from the pooled rows", "与合并数据的最大差异"),
    "stat_bytes": ("left the hospitals, and no patient's row", "离开医院的数据量，不含任何患者数据行"),
    "exact": ("none", "无差异"),
    "glance": ("At a glance", "要点"),
    "glance_more": ("and {count} more", "另有 {count} 项"),
    # Participants
    "cohort": ("Patients included", "纳入条件"),
    "cohort_all": ("All patients that the sites offered.", "各医院提供的全部患者。"),
    "rows_offered": ("Patients by hospital", "各医院患者数"),
    "left_out": ("Left out, and why", "未参与及原因"),
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
    "sites_alone_what": (": {what}", "：{what}"),
    "sites_alone_error": (": {what} (standard error)", "：{what}（标准误）"),
    "cannot_estimate": ("Could not be estimated alone", "无法单独估计"),
    "failed": ("No answer", "没有答案"),
    "failed_why": ("This analysis has no answer: {reason}", "该分析没有答案：{reason}"),
    "withheld": ("withheld", "保留不发"),
    "withheld_help": ("withheld by a hospital's policy", "按医院的披露策略保留不发"),
    "not_given": ("not estimable or not given", "无法估计或未给出"),
    "withheld_title": ("Withheld from publication", "保留不发的内容"),
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
        "随{time}变化的生存率及置信带，下方为风险人数。",
    ),
    "plot_survival_pooled": ("The dotted line is the curve of the pooled rows.", "点线为合并数据的曲线。"),
    "plot_counts": ("Numbers of patients", "患者数"),
    "plot_counts_text": ("Published numbers of patients; withheld cells are marked.", "已公布的患者数；保留不发的单元格已标明。"),
    "plot_correlation": ("Correlations", "相关系数"),
    "plot_correlation_text": (
        "Correlation of each pair of variables, from -1 to 1.",
        "每对变量的相关系数，取值 -1 至 1。",
    ),
    "plot_left": ("Bytes that left each hospital, by kind", "各医院离开的字节数，按类别"),
    "plot_left_text": (
        "One bar for each hospital; the parts are the kinds of what left it.",
        "每家医院一条，各段为离开信息的类别。",
    ),
    "plot_curves": ("Telling patients apart, and risks that come true", "区分度与校准"),
    "plot_curves_text": (
        "On patients that no model had seen. Left: solid, the federation; dotted, the pooled rows; grey, each hospital alone. "
        "Right: the share that came true over the predicted risk, by tenth of risk; on the diagonal risks are right.",
        "在各模型均未见过的患者上。左：实线为联邦，点线为合并数据，灰线为各医院单独。"
        "右：按预测风险十等分的实际比例及其区间；位于对角线上表示风险准确。",
    ),
    "plot_curves_short": (
        "Left: the joint model's sensitivity over its false positive rate. Right: the share that came true over the predicted "
        "risk, by tenth of risk, with intervals; on the diagonal risks are right.",
        "左：联合模型的灵敏度与假阳性率。右：按预测风险十等分的实际比例及其区间；位于对角线上表示风险准确。",
    ),
    "plot_curves_labels": (
        "Left: the joint model's sensitivity over its false positive rate, by label. Right: the share that came true over the "
        "predicted risk; on the diagonal risks are right.",
        "左：联合模型在各标签上的灵敏度与假阳性率。右：预测风险与实际比例；位于对角线上表示风险准确。",
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
    "quality_all": ("On all patients that no model had seen", "在各模型均未见过的全部患者上"),
    "quality_all_of": ("On all {count} patients that no model had seen", "在各模型均未见过的全部 {count} 名患者上"),
    "quality_help": ("{percent} % confidence intervals in small print.", "小字为 {percent}% 置信区间。"),
    "quality_by_site": ("{measure} on each hospital's own patients", "在各医院自己的患者上的{measure}"),
    "not_given_or_withheld": ("not estimable, or withheld", "无法估计，或保留不发"),
    "axis_at_risk": ("At risk", "风险人数"),
    "axis_survival": ("Survival", "生存率"),
    "axis_log_rank": ("log-rank p {p}", "log-rank p {p}"),
    "in_errors": ("estimate in units of its standard error", "以标准误为单位的估计值"),
    # Disclosure
    "disclosure_text": (
        "{bytes} in {numbers} numbers left the hospitals. What may only ever be added to the answers of the others is an addend.",
        "共有 {bytes}、{numbers} 个数值离开医院。只会与其他医院的答案相加的，称为加数。",
    ),
    "individual_none": (
        "Nothing left a hospital as an individual release.",
        "没有任何内容以单独释出的方式离开医院。",
    ),
    "individual_some": (
        "{numbers} numbers left as individual releases: they can be read by themselves.",
        "有 {numbers} 个数值以单独释出的方式离开医院，可被单独读取。",
    ),
    "left_caption": ("What left each hospital", "各医院离开的信息"),
    "left_detail": ("Part by part", "逐项明细"),
    "kind": ("Kind", "类别"),
    "kind.addend": ("addends", "加数"),
    "kind.counts": ("addends that are counts", "计数类加数"),
    "kind.individual": ("individual releases", "单独释出"),
    "times": ("Times", "次数"),
    "bytes": ("Bytes", "字节"),
    "numbers": ("Numbers", "数值个数"),
    "what": ("What", "内容"),
    "analysis": ("Analysis", "分析"),
    "refusals": ("Refused, withheld or changed", "被拒绝、保留不发或被更改的内容"),
    "refusals_none": ("No policy refused or withheld anything.", "没有任何策略拒绝或保留不发任何内容。"),
    "by_whom": ("By", "由谁"),
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
    "digest": ("Digest of the study", "研究摘要值"),
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
    "term_more_sites": ("{count} more hospitals in the report", "报告中另有 {count} 家医院"),
    "term_more_rows": ("{count} more rows in the report", "报告中另有 {count} 行"),
    # Names of methods
    "name.summary": ("Description", "描述统计"),
    "name.tabulate": ("Counts", "计数表"),
    "name.quantile": ("Quantiles", "分位数"),
    "name.compare": ("Comparison of groups", "组间比较"),
    "name.glm": ("Regression", "回归"),
    "name.cox": ("Cox regression", "Cox 回归"),
    "name.kaplan_meier": ("Kaplan-Meier", "Kaplan-Meier"),
    "name.table_one": ("Table 1", "表1"),
    "name.meta": ("Meta-analysis", "荟萃分析"),
    "name.averaging": ("Federated averaging", "联邦平均"),
    "name.boosting": ("Boosted trees", "梯度提升树"),
    # Names of measures of a learned model
    "name.auc": ("AUC", "AUC"),
    "name.accuracy": ("Accuracy", "准确率"),
    "name.sensitivity": ("Sensitivity", "灵敏度"),
    "name.specificity": ("Specificity", "特异度"),
    "name.positive_predictive_value": ("Positive predictive value", "阳性预测值"),
    "name.negative_predictive_value": ("Negative predictive value", "阴性预测值"),
    "name.brier": ("Brier score", "Brier 评分"),
    "name.log_loss": ("Log loss", "对数损失"),
    "name.calibration_slope": ("Calibration slope", "校准斜率"),
    "name.calibration_intercept": ("Calibration intercept", "校准截距"),
    "name.rmse": ("RMSE", "均方根误差"),
    "name.mae": ("MAE", "平均绝对误差"),
    "name.bias": ("Mean error", "平均误差"),
    "name.dice": ("Dice", "Dice 系数"),
    "name.pooled_dice": ("Dice over all pixels", "全部像素的 Dice 系数"),
    "name.macro": ("mean of all labels", "各标签平均"),
    "name.label": ("Label", "标签"),
    "name.round": ("Round", "轮"),
    "name.tree": ("Tree", "树"),
    "name.loss": ("Training loss", "训练损失"),
    "name.training_loss": ("Training loss", "训练损失"),
    "name.validation_loss": ("Validation loss", "验证损失"),
    "name.gain": ("Gain", "增益"),
    "name.importance": ("Importance", "重要性"),
    "name.learning": ("The course of learning", "学习过程"),
    "name.roc": ("ROC curve", "ROC 曲线"),
    "name.calibration": ("Calibration", "校准"),
    "name.quality": ("Quality of the predictions", "预测质量"),
    "name.at_threshold": ("Rates at the chosen point", "所选阈值处的各项率"),
    "name.false_positive_rate": ("False positive rate", "假阳性率"),
    "name.mean_predicted": ("Mean prediction", "平均预测风险"),
    "name.patients": ("Patients", "患者数"),
    # Names of columns and facts
    "name.term": ("Term", "项"),
    "name.variable": ("Variable", "变量"),
    "name.level": ("Level", "水平"),
    "name.group": ("Group", "组"),
    "name.column": ("Column", "列"),
    "name.statistic": ("Statistic", "统计量"),
    "name.test": ("Test", "检验"),
    "name.time": ("Time", "时间"),
    "name.coefficient": ("Coefficient", "系数"),
    "name.standard_error": ("SE", "标准误"),
    "name.std_error": ("SE", "标准误"),
    "name.se": ("SE", "标准误"),
    "name.z": ("z", "z"),
    "name.t": ("t", "t"),
    "name.f": ("F", "F"),
    "name.p_value": ("p", "p"),
    "name.hazard_ratio": ("Hazard ratio", "风险比"),
    "name.odds_ratio": ("Odds ratio", "比值比"),
    "name.rate_ratio": ("Rate ratio", "率比"),
    "name.risk_ratio": ("Risk ratio", "相对危险度"),
    "name.risk_difference": ("Risk difference", "危险度差"),
    "name.mean_ratio": ("Ratio of means", "均值比"),
    "name.mean_difference": ("Difference of means", "均值差"),
    "name.difference": ("Difference", "差值"),
    "name.cohen_d": ("Cohen's d", "Cohen's d"),
    "name.hedges_g": ("Hedges' g", "Hedges' g"),
    "name.smd": ("Standardised difference", "标准化差异"),
    "name.rows": ("Patients", "患者数"),
    "name.n": ("n", "例数"),
    "name.events": ("Events", "事件数"),
    "name.censored": ("Censored", "删失"),
    "name.at_risk": ("At risk", "风险人数"),
    "name.survival": ("Survival", "生存率"),
    "name.observed": ("Observed", "观察数"),
    "name.expected": ("Expected", "期望数"),
    "name.median": ("Median", "中位数"),
    "name.median_survival": ("Median survival", "中位生存时间"),
    "name.missing": ("Missing", "缺失"),
    "name.sum": ("Sum", "总和"),
    "name.mean": ("Mean", "均值"),
    "name.variance": ("Variance", "方差"),
    "name.sd": ("SD", "标准差"),
    "name.skewness": ("Skewness", "偏度"),
    "name.kurtosis": ("Kurtosis", "峰度"),
    "name.probability": ("Probability", "概率"),
    "name.value": ("Value", "值"),
    "name.low": ("From", "下限"),
    "name.high": ("To", "上限"),
    "name.tolerance": ("Tolerance", "容差"),
    "name.support": ("Patients behind it", "支持患者数"),
    "name.weight": ("Weight", "权重"),
    "name.count": ("Count", "计数"),
    "name.df": ("Degrees of freedom", "自由度"),
    "name.df_residual": ("Residual degrees of freedom", "残差自由度"),
    "name.df_null": ("Null degrees of freedom", "空模型自由度"),
    "name.chi2": ("Chi-square", "卡方"),
    "name.chi2_yates": ("Chi-square (Yates)", "卡方（Yates 校正）"),
    "name.p_value_yates": ("p (Yates)", "p（Yates 校正）"),
    "name.cramers_v": ("Cramér's V", "Cramér's V"),
    "name.cramer_v": ("Cramér's V", "Cramér's V"),
    "name.fisher_p": ("Fisher's exact p", "Fisher 精确检验 p"),
    "name.fisher_p_value": ("Fisher's exact p", "Fisher 精确检验 p"),
    "name.loglik": ("Log-likelihood", "对数似然"),
    "name.loglik_null": ("Log-likelihood of the null model", "空模型对数似然"),
    "name.aic": ("AIC", "AIC"),
    "name.bic": ("BIC", "BIC"),
    "name.deviance": ("Deviance", "偏差"),
    "name.null_deviance": ("Null deviance", "空模型偏差"),
    "name.dispersion": ("Dispersion", "离散参数"),
    "name.pseudo_r2": ("Pseudo R² (McFadden)", "伪 R²（McFadden）"),
    "name.r2": ("R²", "R²"),
    "name.r2_adjusted": ("Adjusted R²", "调整 R²"),
    "name.adjusted_r2": ("Adjusted R²", "调整 R²"),
    "name.concordance": ("Concordance", "一致性指数"),
    "name.lr_chi2": ("Likelihood-ratio chi-square", "似然比卡方"),
    "name.lr_df": ("Likelihood-ratio degrees of freedom", "似然比自由度"),
    "name.lr_p": ("Likelihood-ratio p", "似然比检验 p"),
    "name.lr_p_value": ("Likelihood-ratio p", "似然比检验 p"),
    "name.wald_chi2": ("Wald chi-square", "Wald 卡方"),
    "name.wald_df": ("Wald degrees of freedom", "Wald 自由度"),
    "name.wald_p": ("Wald p", "Wald 检验 p"),
    "name.wald_p_value": ("Wald p", "Wald 检验 p"),
    "name.score_chi2": ("Score chi-square", "得分卡方"),
    "name.score_df": ("Score degrees of freedom", "得分检验自由度"),
    "name.score_p": ("Score p", "得分检验 p"),
    "name.score_p_value": ("Score p", "得分检验 p"),
    "name.f_p": ("p of the F test", "F 检验 p"),
    "name.iterations": ("Iterations", "迭代次数"),
    "name.converged": ("Converged", "已收敛"),
    "name.ties": ("Ties", "结点处理"),
    "name.strata": ("Strata", "分层"),
    "name.family": ("Family", "分布族"),
    "name.link": ("Link", "连接函数"),
    "name.formula": ("Formula", "公式"),
    "name.confidence": ("Confidence level", "置信水平"),
    "name.conf_type": ("Confidence limits", "置信限类型"),
    "name.measure": ("Measure", "指标"),
    "name.estimate": ("Estimate", "估计值"),
    "name.log_standard_error": ("SE of the logarithm", "对数的标准误"),
    "name.mantel_haenszel_odds_ratio": ("Odds ratio (Mantel-Haenszel)", "比值比（Mantel-Haenszel）"),
    "name.fisher_odds_ratio": ("Odds ratio (Fisher)", "比值比（Fisher）"),
    "name.conditional_odds_ratio": ("Odds ratio (conditional)", "比值比（条件）"),
    "name.welch": ("Welch's t test", "Welch t 检验"),
    "name.student": ("Student's t test", "Student t 检验"),
    "name.anova": ("Analysis of variance", "方差分析"),
    "name.welch_anova": ("Welch's analysis of variance", "Welch 方差分析"),
    "name.expected_min": ("Smallest expected count", "最小期望计数"),
    "name.expected_below_5": ("Expected counts below 5", "小于 5 的期望计数"),
    "name.cmh": ("Cochran-Mantel-Haenszel chi-square", "Cochran-Mantel-Haenszel 卡方"),
    "name.cmh_df": ("Its degrees of freedom", "其自由度"),
    "name.cmh_p_value": ("Cochran-Mantel-Haenszel p", "Cochran-Mantel-Haenszel p"),
    "name.cmh_corrected": ("Cochran-Mantel-Haenszel chi-square, corrected", "Cochran-Mantel-Haenszel 卡方（校正）"),
    "name.cmh_corrected_p_value": ("Cochran-Mantel-Haenszel p, corrected", "Cochran-Mantel-Haenszel p（校正）"),
    "name.breslow_day": ("Breslow-Day chi-square", "Breslow-Day 卡方"),
    "name.breslow_day_p_value": ("Breslow-Day p", "Breslow-Day p"),
    "name.tarone": ("Tarone chi-square", "Tarone 卡方"),
    "name.tarone_p_value": ("Tarone p", "Tarone p"),
    "name.homogeneity_df": ("Degrees of freedom of homogeneity", "同质性检验自由度"),
    "name.df_between": ("Degrees of freedom between", "组间自由度"),
    "name.df_within": ("Degrees of freedom within", "组内自由度"),
    "name.eta_squared": ("Eta squared", "Eta 平方"),
    "name.cohens_d": ("Cohen's d", "Cohen's d"),
    "name.bartlett_k2": ("Bartlett chi-square", "Bartlett 卡方"),
    "name.bartlett_df": ("Bartlett degrees of freedom", "Bartlett 自由度"),
    "name.bartlett_p_value": ("Bartlett p", "Bartlett p"),
    "name.levene_f": ("Levene F", "Levene F"),
    "name.levene_p_value": ("Levene p", "Levene p"),
    "name.ci_low": ("Lower limit", "置信下限"),
    "name.ci_high": ("Upper limit", "置信上限"),
    "name.complete_rows": ("Complete rows", "完整行数"),
    "name.interval_from": ("Interval from", "区间起点"),
    "name.interval_to": ("Interval to", "区间终点"),
    "name.restricted_mean": ("Restricted mean", "限制平均生存时间"),
    "name.restricted_mean_se": ("SE of the restricted mean", "限制平均的标准误"),
    "name.rho": ("rho of the test", "检验的 rho"),
    "name.sites": ("Hospitals", "医院数"),
    "name.smallest_group": ("Smallest group", "最小组人数"),
    "name.heterogeneity": ("Heterogeneity", "异质性"),
    "name.fixed": ("Fixed effect", "固定效应"),
    "name.random": ("Random effects", "随机效应"),
    "name.association": ("Measures of association", "关联指标"),
    "name.numbers": ("Numeric variables", "数值变量"),
    "name.transform": ("Transform of time", "时间变换"),
    "name.parameters": ("Parameters", "参数个数"),
    "name.concordance_se": ("SE of the concordance", "一致性指数的标准误"),
    "name.concordance_error_bound": ("Error bound of the concordance", "一致性指数的误差上界"),
    "name.pearson_chi2": ("Pearson chi-square", "Pearson 卡方"),
    "name.aic_without_dispersion": ("AIC, dispersion not counted", "AIC（不计离散参数）"),
    "name.f_statistic": ("F", "F"),
    "name.f_df": ("Degrees of freedom of F", "F 检验自由度"),
    "name.offset": ("Offset", "偏移量"),
    "name.weights": ("Weights", "权重"),
    "name.intervals": ("Intervals of the joint grid", "联合时间网格区间数"),
    "name.resolution": ("Resolution of time", "时间分辨率"),
    "name.horizon": ("Horizon", "时间上限"),
    "name.ridge": ("Ridge penalty", "岭惩罚"),
    "name.sites_estimable": ("Sites that could be estimated", "可估计的医院数"),
    "name.q": ("Q", "Q"),
    "name.i2": ("I²", "I²"),
    "name.tau2": ("tau²", "tau²"),
    "name.coefficients": ("Coefficients of the model", "模型系数"),
    "name.counts": ("Numbers of patients", "患者数"),
    "name.log_rank": ("Log-rank test", "log-rank 检验"),
    "name.logrank": ("Log-rank test", "log-rank 检验"),
    "name.medians": ("Median survival", "中位生存时间"),
    "name.proportional_hazards": ("Test of proportional hazards", "比例风险检验"),
    "name.groups": ("Groups", "分组"),
    "name.correlation": ("Correlations", "相关系数"),
    "name.tests": ("Tests", "检验"),
    "name.quantiles": ("Quantiles", "分位数"),
    "name.df_effective": ("Effective degrees of freedom", "有效自由度"),
    "name.hartung_knapp": ("Hartung-Knapp", "Hartung-Knapp 校正"),
    "name.model_standard_error": ("SE of the model", "模型标准误"),
    "name.cumulative_hazard": ("Cumulative hazard", "累积风险"),
    "name.pairwise": ("Tests between two groups", "两两组间检验"),
    "name.proportional_hazards_correlation": ("Correlation of residuals with time", "残差与时间的相关"),
    "name.categories": ("Categories", "类别变量"),
    "name.stratum": ("Stratum", "层"),
    "name.baseline": ("Baseline hazard", "基线风险"),
    "name.term_tests": ("Tests of whole terms", "整项检验"),
    "name.estimates": ("Estimates of the sites", "各站点的估计"),
    "name.covariance": ("Covariances", "协方差"),
    "name.center": ("Center", "中心化值"),
    "name.incomplete_rows": ("Incomplete rows", "不完整的行"),
    "name.rank": ("Rank", "秩"),
}
