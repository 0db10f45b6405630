// Sends the answer on at once; the button beside it does the same without JavaScript.
document.forms[0].submit();
