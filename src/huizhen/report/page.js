"use strict";
(() => {
  const root = document.documentElement;
  const buttons = document.querySelectorAll("[data-language]");
  const speak = (language) => {
    root.lang = language === "zh" ? "zh-Hans" : "en";
    root.dataset.speaks = language;
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.language === language)));
  };
  buttons.forEach((button) => button.addEventListener("click", () => speak(button.dataset.language)));
  document.querySelector(".switch").hidden = false;
  speak((navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en");
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...folded()]; opened.forEach((fold) => { fold.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((fold) => { fold.open = false; }); opened = []; });
})();
