page.startTheme();
document.documentElement.dataset.ready = "";
